import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.security.auth.callback.Callback;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerTokenCallback;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main methods of Kafka's command-line tools, many in one JVM, each as if it had a process of its own.
 *
 * A line of standard input is a JSON object: {"id", "tool", "arguments", "input"} starts a tool, {"id", "stop": true}
 * does what SIGTERM does to its process. A line of standard output is {"id", "out"} or {"id", "err"} with a line that
 * the tool wrote, or {"id", "status"} when it has ended.
 */
public class Tools {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream ANSWERS = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
    private static final Map<Integer, Tool> RUNNING = new ConcurrentHashMap<>();
    public static void main(String[] arguments) throws IOException {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.setOut(new PrintStream(new Lines("out"), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new Lines("err"), true, StandardCharsets.UTF_8));
        System.setIn(new Input());
        Exit.setExitProcedure((status, message) -> exit(status, message));
        Exit.setHaltProcedure((status, message) -> exit(status, message));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            JsonNode request = JSON.readTree(line);
            int id = request.get("id").asInt();
            if (request.has("stop")) {
                Tool tool = RUNNING.get(id);
                if (tool != null) {
                    tool.stop(false);
                }
            } else {
                Tool tool = new Tool(id, request);
                RUNNING.put(id, tool);
                new Thread(tool, tool, "tool-" + id).start();
            }
        }
        Runtime.getRuntime().halt(0); // the test run is over, whatever the tools still do
    }

    private static void exit(int status, String message) {
        if (message != null) {
            System.err.println(message);
        }
        Tool tool = current();
        if (tool != null && tool.status == null) { // a tool may catch what is thrown here and exit once more
            tool.status = status;
        }
        throw new Exited();
    }

    private static synchronized void answer(int id, String field, Object value) {
        ObjectNode answer = JSON.createObjectNode().put("id", id);
        answer.set(field, JSON.valueToTree(value));
        ANSWERS.println(answer);
    }

    /** What a call of exit becomes: the tool's thread ends, not the JVM. */
    private static class Exited extends Error {
        Exited() {
            super("exit", null, false, false);
        }
    }

    /** The tool that the current thread belongs to; null for the threads of this class. */
    private static Tool current() {
        for (ThreadGroup group = Thread.currentThread().getThreadGroup(); group != null; group = group.getParent()) {
            if (group instanceof Tool tool) {
                return tool;
            }
        }
        return null;
    }

    /** A running tool, and the group of its threads: a new thread belongs to the group of the one that makes it. */
    private static class Tool extends ThreadGroup implements Runnable {
        final int id;
        final InputStream input;
        volatile Integer status;
        private final String name;
        private final String[] arguments;
        private final List<Thread> hooks = new ArrayList<>();

        Tool(int id, JsonNode request) {
            super("tool-" + id);
            this.id = id;
            name = request.get("tool").asText();
            arguments = JSON.convertValue(request.get("arguments"), String[].class);
            input = new ByteArrayInputStream(request.get("input").asText().getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public void run() {
            try {
                Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
            } catch (InvocationTargetException ended) {
                if (!(ended.getCause() instanceof Exited)) {
                    failed(ended.getCause());
                }
            } catch (ReflectiveOperationException failure) {
                failed(failure);
            }
            stop(true);
            RUNNING.remove(id);
            answer(id, "status", status == null ? 0 : status);
        }

        private void failed(Throwable failure) {
            failure.printStackTrace();
            status = status == null ? 1 : status;
        }

        /** What a JVM does on SIGTERM: its shutdown hooks run while the tool goes on; most of them wait for its end. */
        void stop(boolean wait) {
            for (Thread hook : hooks()) {
                if (hook.getThreadGroup() == this && Runtime.getRuntime().removeShutdownHook(hook)) {
                    hook.start();
                }
                if (wait) {
                    join(hook);
                }
            }
        }

        private synchronized List<Thread> hooks() {
            try {
                Field field = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
                field.setAccessible(true);
                for (Object hook : List.copyOf(((Map<?, ?>) field.get(null)).keySet())) {
                    Thread thread = (Thread) hook;
                    if (thread.getThreadGroup() == this && !hooks.contains(thread)) {
                        hooks.add(thread);
                    }
                }
                return List.copyOf(hooks);
            } catch (ReflectiveOperationException failure) {
                throw new IllegalStateException("this JVM does not show its shutdown hooks", failure);
            }
        }

        private static void join(Thread thread) {
            try {
                thread.join();
            } catch (InterruptedException interrupted) {
                throw new IllegalStateException(interrupted);
            }
        }
    }

    /** Standard output or error: what a thread writes goes out line by line under its tool's number. */
    private static class Lines extends OutputStream {
        private final String field;
        private final Map<Integer, ByteArrayOutputStream> begun = new ConcurrentHashMap<>();

        Lines(String field) {
            this.field = field;
        }

        @Override
        public synchronized void write(int octet) {
            Tool tool = current();
            int id = tool == null ? 0 : tool.id;
            ByteArrayOutputStream line = begun.computeIfAbsent(id, key -> new ByteArrayOutputStream());
            if (octet == '\n') {
                answer(id, field, line.toString(StandardCharsets.UTF_8));
                line.reset();
            } else {
                line.write(octet);
            }
        }
    }

    private static class Input extends InputStream {
        @Override
        public int read() throws IOException {
            return current().input.read();
        }

        @Override
        public int read(byte[] data, int start, int length) throws IOException {
            return current().input.read(data, start, length);
        }
    }

    /** Gives a client the OAUTHBEARER token that stands in its JAAS options: a signed request, as MSK's IAM wants it. */
    public static class Token implements AuthenticateCallbackHandler {
        private String token;

        @Override
        public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
            token = (String) entries.get(0).getOptions().get("token");
        }

        @Override
        public void handle(Callback[] callbacks) {
            for (Callback callback : callbacks) {
                if (callback instanceof OAuthBearerTokenCallback wanted) {
                    wanted.token(new Signed(token, System.currentTimeMillis() + 600_000));
                }
            }
        }

        @Override
        public void close() {
        }
    }

    private record Signed(String value, long lifetimeMs) implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of();
        }

        @Override
        public String principalName() {
            return "iam";
        }

        @Override
        public Long startTimeMs() {
            return null;
        }
    }
}
