"""ACLs: the verdicts of the authorizer, held to a slow and plain reading of Kafka's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.brokers.embedded.errors import Refused
from pytest_msk.brokers.embedded.security.access import SUPPORTED_OPERATIONS, Operation, ResourceType
from pytest_msk.brokers.embedded.security.acl import (
    Acl,
    AclAuthorizer,
    AclFilter,
    Acls,
    PatternType,
    Permission,
)

TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
NAMES = ("", "a", "ab", "abc", "b", "*", "hardcode")
PRINCIPALS = ("User:alice", "User:bob", "User:*")
HOSTS = ("10.0.0.1", "10.0.0.2", "*")
OPERATIONS = [operation for operation in Operation if operation > Operation.ANY]

acls = st.builds(
    Acl,
    resource_type=st.sampled_from([TOPIC, GROUP]),
    resource_name=st.sampled_from(NAMES[1:]),
    pattern_type=st.sampled_from([PatternType.LITERAL, PatternType.PREFIXED]),
    principal=st.sampled_from(PRINCIPALS),
    host=st.sampled_from(HOSTS),
    operation=st.sampled_from([op for op in Operation if op not in (Operation.UNKNOWN, Operation.ANY)]),
    permission=st.sampled_from([Permission.ALLOW, Permission.DENY]),
)
histories = st.lists(acls, max_size=12)


def acl(name="a", operation=Operation.READ, **fields):
    given_fields = {
        "resource_type": TOPIC,
        "pattern_type": PatternType.LITERAL,
        "principal": "User:alice",
        "host": "*",
        "permission": Permission.ALLOW,
        **fields,
    }
    return Acl(resource_name=name, operation=operation, **given_fields)


def kept(entries, *, allow_if_none=True):
    found = Acls(allow_if_none=allow_if_none)
    for entry in entries:
        found.add(entry)
    return found


def authorizer(entries, *, allow_if_none=True, principal="User:alice", host="10.0.0.1"):
    return AclAuthorizer(kept(entries, allow_if_none=allow_if_none), principal=principal, host=host)


def slow_verdict(entries, allow_if_none, principal, host, operation, kind, name):
    """Kafka's rules, read one after another."""
    about = []
    for entry in entries:
        if entry.pattern_type == PatternType.LITERAL:
            fits = entry.resource_name in ("*", name)
        else:
            fits = name[: len(entry.resource_name)] == entry.resource_name
        if entry.resource_type == kind and fits:
            about.append(entry)
    if not about:
        return allow_if_none
    mine = [e for e in about if e.principal in ("User:*", principal) and e.host in ("*", host)]
    for entry in mine:
        if entry.permission == Permission.DENY and entry.operation in (operation, Operation.ALL):
            return False
    enough = {operation, Operation.ALL}
    if operation == Operation.DESCRIBE:
        enough |= {Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER}
    if operation == Operation.DESCRIBE_CONFIGS:
        enough |= {Operation.ALTER_CONFIGS}
    return any(entry.permission == Permission.ALLOW and entry.operation in enough for entry in mine)


@given(
    entries=histories,
    allow_if_none=st.booleans(),
    principal=st.sampled_from(PRINCIPALS[:2]),
    host=st.sampled_from(HOSTS[:2]),
    operation=st.sampled_from(OPERATIONS),
    kind=st.sampled_from([TOPIC, GROUP]),
    name=st.sampled_from(NAMES),
)
def test_the_verdict_is_that_of_the_rules(entries, allow_if_none, principal, host, operation, kind, name):
    one = authorizer(entries, allow_if_none=allow_if_none, principal=principal, host=host)
    expected = slow_verdict(entries, allow_if_none, principal, host, operation, kind, name)
    assert one.allows(operation, kind, name) is expected


@given(entries=histories, operation=st.sampled_from(OPERATIONS), name=st.sampled_from(NAMES))
def test_the_order_of_acls_does_not_count(entries, operation, name):
    forth, back = authorizer(entries), authorizer(entries[::-1])
    assert forth.allows(operation, TOPIC, name) is back.allows(operation, TOPIC, name)


@given(entries=histories, allow_if_none=st.booleans())
def test_what_allows_everything_denies_nothing(entries, allow_if_none):
    one = authorizer(entries, allow_if_none=allow_if_none)
    if one.allows_everything:
        assert all(one.allows(operation, TOPIC, name) for operation in OPERATIONS for name in NAMES)


@given(entries=histories, allow_if_none=st.booleans(), operation=st.sampled_from([Operation.READ, Operation.WRITE]))
def test_some_topic_is_allowed_when_one_of_those_at_hand_is(entries, allow_if_none, operation):
    one = authorizer(entries, allow_if_none=allow_if_none)
    allowing = [e for e in entries if e.permission is Permission.ALLOW and e.operation in (operation, Operation.ALL)]
    named = {entry.resource_name for entry in allowing} - {"*"}
    if any(one.allows(operation, TOPIC, name) for name in named):
        assert one.allows_some(operation, TOPIC)


@given(entries=histories, operation=st.sampled_from([Operation.READ, Operation.WRITE]))
def test_no_topic_is_allowed_when_everything_is_denied(entries, operation):
    entries = [*entries, acl("*", operation, permission=Permission.DENY)]
    assert not authorizer(entries).allows_some(operation, TOPIC)


@pytest.mark.parametrize(
    ("entries", "some"),
    [
        ([], True),
        ([acl("other", principal="User:bob")], True),
        ([acl("*", principal="User:bob")], False),
        ([acl("*", principal="User:bob"), acl("mine")], True),
        ([acl("*", principal="User:bob"), acl("mine"), acl("mine", permission=Permission.DENY)], False),
        (
            [
                acl("*", principal="User:bob"),
                acl("mine"),
                acl("m", permission=Permission.DENY, pattern_type=PatternType.PREFIXED),
            ],
            False,
        ),
        (
            [
                acl("*", principal="User:bob"),
                acl("m", pattern_type=PatternType.PREFIXED),
                acl("mine", permission=Permission.DENY, pattern_type=PatternType.PREFIXED),
            ],
            True,
        ),
        ([acl("*", principal="User:bob"), acl("*", operation=Operation.WRITE)], False),
    ],
)
def test_whether_there_may_be_something_to_read(entries, some):
    assert authorizer(entries).allows_some(Operation.READ, TOPIC) is some


# --- filters


def slow_fit(wanted, entry):
    if wanted.resource_type not in (ResourceType.ANY, entry.resource_type):
        return False
    if wanted.principal is not None and wanted.principal != entry.principal:
        return False
    if wanted.host is not None and wanted.host != entry.host:
        return False
    if wanted.operation not in (Operation.ANY, entry.operation):
        return False
    if wanted.permission not in (Permission.ANY, entry.permission):
        return False
    if wanted.pattern_type in (PatternType.LITERAL, PatternType.PREFIXED) and (
        wanted.pattern_type != entry.pattern_type
    ):
        return False
    if wanted.resource_name is None:
        return True
    if wanted.pattern_type != PatternType.MATCH:
        return wanted.resource_name == entry.resource_name
    if entry.pattern_type == PatternType.PREFIXED:
        return wanted.resource_name.startswith(entry.resource_name)
    return entry.resource_name in ("*", wanted.resource_name)


filters = st.builds(
    AclFilter,
    resource_type=st.sampled_from([ResourceType.ANY, TOPIC, GROUP]),
    resource_name=st.none() | st.sampled_from(NAMES[1:]),
    pattern_type=st.sampled_from([PatternType.ANY, PatternType.MATCH, PatternType.LITERAL, PatternType.PREFIXED]),
    principal=st.none() | st.sampled_from(PRINCIPALS),
    host=st.none() | st.sampled_from(HOSTS),
    operation=st.sampled_from([Operation.ANY, Operation.READ, Operation.ALL]),
    permission=st.sampled_from([Permission.ANY, Permission.ALLOW, Permission.DENY]),
)


@given(entries=histories, wanted=filters)
def test_a_filter_finds_what_it_means_and_its_removal_leaves_the_rest(entries, wanted):
    every = kept(entries)
    found = every.find(wanted)
    assert found == [entry for entry in dict.fromkeys(entries) if slow_fit(wanted, entry)]
    every.remove(found)
    assert list(every) == [entry for entry in dict.fromkeys(entries) if not slow_fit(wanted, entry)]


@given(entries=histories)
def test_an_acl_is_there_once(entries):
    assert len(kept(entries + entries)) == len(set(entries))


# --- what is refused


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"resource_type": ResourceType.ANY}, "Invalid resourceType ANY"),
        ({"pattern_type": PatternType.MATCH}, "Invalid patternType MATCH"),
        ({"operation": Operation.UNKNOWN}, "Invalid operation UNKNOWN"),
        ({"permission": Permission.ANY}, "Invalid permissionType ANY"),
        ({"name": ""}, "Invalid empty resource name"),
        ({"resource_type": ResourceType.CLUSTER}, "The only valid name for the CLUSTER resource is kafka-cluster"),
        ({"principal": "alice"}, "Could not parse principal from `alice`"),
    ],
    ids=str,
)
def test_an_acl_that_makes_no_sense(wrong, text):
    with pytest.raises(Refused) as raised:
        acl(**wrong).check()
    assert raised.value.message.startswith(text)


def test_an_acl_that_makes_sense():
    acl().check()
    acl("kafka-cluster", Operation.ALTER, resource_type=ResourceType.CLUSTER).check()


def test_the_operations_of_each_type_are_kafkas():
    assert {kind.name: len(found) for kind, found in SUPPORTED_OPERATIONS.items()} == {
        "TOPIC": 8,
        "GROUP": 5,
        "CLUSTER": 7,
        "TRANSACTIONAL_ID": 3,
        "DELEGATION_TOKEN": 1,
        "USER": 2,
    }
