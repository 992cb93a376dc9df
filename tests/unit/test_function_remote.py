"""Functions that run elsewhere: behind a boto3 client, or in a runtime interface emulator."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from pytest_msk import LambdaFunction, MskError, NotSupported, ServiceError
from pytest_msk.functions import FunctionError

PAYLOAD = b'{"eventSource":"aws:kafka","records":{}}'
PATH = "/2015-03-31/functions/function/invocations"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


class Endpoint(HTTPServer):
    """Answers every request in the same way, and remembers the requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.status, self.body, self.headers = 200, b"null", {}
        self.requests: list[tuple[str, str, bytes]] = []
        self.silent = threading.Event()
        self.silent.set()

    def answers(self, body: object = None, status: int = 200, **headers: str) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers.get("X-Amz-Log-Type"), body))
        self.server.silent.wait(30)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def endpoint():
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.silent.set()
    server.shutdown()
    thread.join(30)
    server.server_close()


@pytest.fixture
def client(endpoint):
    made = boto3.client("lambda", endpoint_url=endpoint.url, config=Config(retries={"total_max_attempts": 1}), **KEYS)
    yield made
    made.close()


# --- a runtime interface emulator


def test_an_emulator_gets_the_event_and_answers_the_result(endpoint):
    endpoint.answers({"done": "größe"})
    function = LambdaFunction(endpoint.url)
    invocation = function.invoke(PAYLOAD)
    assert endpoint.requests == [(PATH, None, PAYLOAD)]
    assert (invocation.result, invocation.error) == ({"done": "größe"}, None)
    assert function.name == "function"
    assert list(function.invocations) == [invocation]
    assert (function.handler, function.module) == (None, None)


def test_an_emulators_own_path_is_taken(endpoint):
    function = LambdaFunction(f"{endpoint.url}/2015-03-31/functions/charge/invocations")
    function.invoke(PAYLOAD)
    assert (function.name, endpoint.requests[0][0]) == ("charge", "/2015-03-31/functions/charge/invocations")


ERROR = {"errorMessage": "no such order", "errorType": "LookupError", "requestId": "id", "stackTrace": ["  File x\n"]}
EXIT = {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: 7-a Error: Runtime exited with error: exit 3"}


@pytest.mark.parametrize(
    ("body", "status", "headers", "text"),
    [
        (ERROR, 200, {}, "LookupError: no such order"),
        ({"errorMessage": "x", "errorType": "TypeError", "trace": []}, 200, {}, "TypeError: x"),
        ({"errorMessage": None, "errorType": "Error"}, 200, {}, "Error"),
        ({"message": "odd"}, 200, {"X_Amz_Function_Error": "Unhandled"}, "Error"),
        (b"not JSON", 200, {"X_Amz_Function_Error": "Unhandled"}, "Error: not JSON"),
        (EXIT, 200, {}, "Runtime.ExitError: Runtime exited with error: exit 3"),
        (EXIT, 502, {}, "Runtime.ExitError: Runtime exited with error: exit 3"),
        (b"Task timed out after 300.00 seconds", 200, {}, "Sandbox.Timedout: Task timed out after 300.00 seconds"),
    ],
)
def test_an_emulators_function_errors_are_told_by_what_they_say(endpoint, body, status, headers, text):
    endpoint.answers(body, status, **headers)
    invocation = LambdaFunction(endpoint.url).invoke(PAYLOAD)
    assert str(invocation.error) == text
    assert invocation.result is None


def test_an_emulators_stack_trace_is_kept(endpoint):
    endpoint.answers(ERROR)
    function = LambdaFunction(endpoint.url)
    assert function.invoke(PAYLOAD).error.stack_trace == ("  File x\n",)
    assert function.invocations[0].error.stack_trace == ("  File x\n",)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"errorMessage": "x", "errorType": "y", "orders": 3}, {"errorMessage": "x", "errorType": "y", "orders": 3}),
        ({"errorMessage": "x"}, {"errorMessage": "x"}),
        ("Task timed out", "Task timed out"),
        (["a"], ["a"]),
        (b"", None),
        (b"plain text", "plain text"),
        (b" text ", " text "),
        (b' \n{"a": 1}\n', {"a": 1}),
        (b" null ", None),
        (b"NaN?", "NaN?"),
    ],
    ids=repr,
)
def test_what_only_resembles_an_error_is_a_result(endpoint, body, result):
    endpoint.answers(body)
    invocation = LambdaFunction(endpoint.url).invoke(PAYLOAD)
    assert (invocation.result, invocation.error) == (result, None)


@pytest.mark.parametrize(("status", "body"), [(400, b""), (429, b"slow down"), (500, b""), (502, b""), (504, b"")])
def test_an_emulator_that_is_busy_or_fails_has_not_called_the_function(endpoint, status, body):
    endpoint.answers(body, status)
    function = LambdaFunction(endpoint.url)
    with pytest.raises(ServiceError) as raised:
        function.invoke(PAYLOAD)
    assert (raised.value.code, raised.value.message) == (f"HTTP {status}", body.decode())
    assert list(function.invocations) == []


def test_an_emulator_that_knows_no_such_path_is_an_error(endpoint):
    endpoint.answers(b"404 page not found", 404)
    with pytest.raises(MskError, match=r"refuses the call: HTTP 404 404 page not found$") as raised:
        LambdaFunction(endpoint.url).invoke(PAYLOAD)
    assert not isinstance(raised.value, ServiceError)


def test_nothing_that_listens_is_an_error_that_says_what_to_start():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(
            MskError, match=r"did not answer: ConnectionRefusedError: .* Start the function's container"
        ):
            LambdaFunction(url).invoke(PAYLOAD)


def test_an_emulator_that_is_silent_times_out_where_a_guard_says_so(endpoint):
    endpoint.silent.clear()
    invocation = LambdaFunction(endpoint.url, real_time_limit=0.2).invoke(PAYLOAD)
    assert str(invocation.error) == "Sandbox.Timedout: Task timed out after 0.20 seconds"


@pytest.mark.parametrize("url", ["ftp://localhost/", "http://", "redis://localhost:1"])
def test_what_is_no_url_of_an_emulator_is_refused(url):
    with pytest.raises(ValueError, match="is no URL of a runtime interface emulator"):
        LambdaFunction(url)


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1", "lambda", "localhost.example.com", "[2001:db8::1]"])
def test_an_emulator_on_another_machine_is_refused(host):
    with pytest.raises(ValueError, match=r"is not on this machine; LambdaFunction\(\.\.\., allow_remote=True\)"):
        LambdaFunction(f"http://{host}:9000")
    assert LambdaFunction(f"http://{host}:9000", allow_remote=True).name == "function"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "lambda.localhost"])
def test_this_machine_has_many_names(host):
    assert LambdaFunction(f"http://{host}:9000").name == "function"


# --- a boto3 client


def test_a_client_gets_the_event_and_answers_result_and_log(client, endpoint):
    log = b64encode("größe\n".encode()).decode()
    endpoint.answers({"done": True}, x_amz_log_result=log, x_amzn_requestid="id-7")
    function = LambdaFunction(client, name="charge", alias="live")
    invocation = function.invoke(PAYLOAD)
    assert endpoint.requests == [("/2015-03-31/functions/charge%3Alive/invocations", "Tail", PAYLOAD)]
    assert (invocation.result, invocation.error) == ({"done": True}, None)
    assert (invocation.log, invocation.request_id) == ("größe\n", "id-7")
    assert function.arn == "arn:aws:lambda:us-east-1:123456789012:function:charge:live"


def test_a_client_takes_an_arn(client, endpoint):
    arn = "arn:aws:lambda:eu-west-1:999999999999:function:charge:7"
    LambdaFunction(client, name=arn).invoke(PAYLOAD)
    assert endpoint.requests[0][0] == f"/2015-03-31/functions/{arn.replace(':', '%3A')}/invocations"


def test_a_function_error_is_in_the_header(client, endpoint):
    endpoint.answers(ERROR, X_Amz_Function_Error="Unhandled")
    assert LambdaFunction(client, name="charge").invoke(PAYLOAD).error == FunctionError(
        type="LookupError", message="no such order"
    )
    endpoint.answers(ERROR)
    invocation = LambdaFunction(client, name="charge").invoke(PAYLOAD)
    assert (invocation.result, invocation.error) == (ERROR, None), "without the header it is a result"


@pytest.mark.parametrize(
    ("status", "code"), [(429, "TooManyRequestsException"), (500, "ServiceException"), (502, "EC2ThrottledException")]
)
def test_throttles_and_service_errors_are_no_function_errors(client, endpoint, status, code):
    endpoint.answers({"message": "Rate Exceeded."}, status, x_amzn_errortype=code)
    function = LambdaFunction(client, name="charge")
    with pytest.raises(ServiceError) as raised:
        function.invoke(PAYLOAD)
    assert (raised.value.code, raised.value.message) == (code, "Rate Exceeded.")
    assert str(raised.value) == f"{code}: Rate Exceeded."
    assert list(function.invocations) == []


def test_a_function_that_is_not_there_is_an_error(client, endpoint):
    endpoint.answers({"Message": "Function not found: charge"}, 404, x_amzn_errortype="ResourceNotFoundException")
    with pytest.raises(
        MskError, match=r"^Lambda refuses to call 'charge': ResourceNotFoundException: Function not found: charge$"
    ) as raised:
        LambdaFunction(client, name="charge").invoke(PAYLOAD)
    assert not isinstance(raised.value, ServiceError)


def test_a_client_that_reaches_nothing_is_an_error():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{unused.getsockname()[1]}",
            config=Config(retries={"total_max_attempts": 1}),
            **KEYS,
        )
        with pytest.raises(MskError, match=r"^The Lambda client could not call 'charge': Could not connect"):
            LambdaFunction(client, name="charge").invoke(PAYLOAD)
        client.close()


def test_a_client_needs_the_functions_name(client):
    with pytest.raises(TypeError, match=r"LambdaFunction\(client, name=\.\.\.\) says it"):
        LambdaFunction(client)


def test_another_services_client_is_refused():
    client = boto3.client("sqs", **KEYS)
    with pytest.raises(TypeError, match="a boto3 Lambda client or a URL, not"):
        LambdaFunction(client, name="charge")
    client.close()


@pytest.fixture
def no_network(monkeypatch):
    """Fails the test instead of letting botocore open a connection."""

    def refuse(self, request):
        raise AssertionError(f"{request.url} was about to be sent")

    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", refuse)


@pytest.mark.usefixtures("no_network")
def test_nothing_reaches_the_real_aws_by_accident():
    client = boto3.client("lambda", **KEYS)
    with pytest.raises(MskError) as raised:
        LambdaFunction(client, name="charge").invoke(PAYLOAD)
    assert str(raised.value) == (
        "The Lambda client would call 'charge' at lambda.us-east-1.amazonaws.com, which is not this machine: call it "
        "under moto (mock_aws), or give the client a loopback endpoint_url; LambdaFunction(..., allow_remote=True) "
        "lets it go."
    )
    with pytest.raises(AssertionError, match="was about to be sent"):
        client.invoke(FunctionName="charge")  # the client itself is as it was
    client.close()


@pytest.mark.usefixtures("no_network")
def test_the_real_aws_is_called_when_it_is_allowed():
    client = boto3.client("lambda", **KEYS)
    with pytest.raises(AssertionError, match=r"lambda\.us-east-1\.amazonaws\.com.* was about to be sent"):
        LambdaFunction(client, name="charge", allow_remote=True).invoke(PAYLOAD)
    client.close()


@pytest.mark.usefixtures("no_network")
def test_moto_answers_in_the_place_of_aws():
    with mock_aws():
        client = boto3.client("lambda", **KEYS)
        with pytest.raises(
            MskError, match=r"^Lambda refuses to call 'charge': ResourceNotFoundException: Function not"
        ):
            LambdaFunction(client, name="charge").invoke(PAYLOAD)
        client.close()


def test_settings_of_a_process_are_refused_for_a_function_elsewhere(endpoint):
    for settings in ({"environment": {}}, {"on_cold_start": print}):
        with pytest.raises(TypeError, match="are for handlers that run here"):
            LambdaFunction(endpoint.url, **settings)
    with pytest.raises(NotSupported, match="'function' runs elsewhere: start it anew there"):
        LambdaFunction(endpoint.url).new_environment()
