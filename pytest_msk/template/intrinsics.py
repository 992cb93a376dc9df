"""Intrinsic functions: the value that a place of a template will have when it is deployed."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import cast

from ..events import CLUSTER_ARN
from .document import Document, Place

__all__ = ["Intrinsics"]

_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")
#: Per type of resource the service in its ARN, the property with its name, and what stands before that name.
_ARNS = {
    "AWS::SQS::Queue": ("sqs", "QueueName", ""),
    "AWS::SNS::Topic": ("sns", "TopicName", ""),
    "AWS::Lambda::Function": ("lambda", "FunctionName", "function:"),
    "AWS::Serverless::Function": ("lambda", "FunctionName", "function:"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "Name", "secret:"),
    "AWS::IAM::Role": ("iam", "RoleName", "role/"),
}
_REF_IS_ARN = {"AWS::SNS::Topic", "AWS::SecretsManager::Secret"}
_CLUSTERS = {"AWS::MSK::Cluster", "AWS::MSK::ServerlessCluster"}


class Intrinsics:
    """Evaluates places of one template.

    Args:
        document: the template.
        values: for what the template does not know itself: parameters, `Fn::ImportValue` exports, dynamic references
            (`{{resolve:ssm:...}}`), and `Resource` or `Resource.Attribute`. They win over what it knows.
        region: where it will be deployed.
        account_id: in which account.
        stack: under which name.
    """

    def __init__(
        self,
        document: Document,
        values: Mapping[str, object],
        *,
        region: str = "us-east-1",
        account_id: str = "123456789012",
        stack: str = "test",
    ) -> None:
        self._document = document
        self._values = values
        self._pseudo: dict[str, object] = {
            "AWS::Region": region,
            "AWS::AccountId": account_id,
            "AWS::Partition": "aws",
            "AWS::StackName": stack,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": f"arn:aws:cloudformation:{region}:{account_id}:stack/{stack}/0",
            "AWS::NotificationARNs": [],
        }
        self._functions: dict[str, Callable[[Place], object]] = {
            "Ref": self._ref,
            "Condition": lambda place: self._condition(cast(str, place.value), place),
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::If": self._if,
            "Fn::Equals": lambda place: len({str(item) for item in self._list(place)}) == 1,
            "Fn::Not": lambda place: not self._list(place)[0],
            "Fn::And": lambda place: all(self._list(place)),
            "Fn::Or": lambda place: any(self._list(place)),
            "Fn::FindInMap": self._find_in_map,
            "Fn::ImportValue": self._import_value,
            "Fn::Base64": lambda place: base64.b64encode(str(self.evaluate(place)).encode()).decode(),
            "Fn::ToJsonString": self._to_json,
        }
        self._no_value = object()

    def evaluate(self, place: Place) -> object:
        """The value: text, numbers, booleans, lists and dicts; members that are `AWS::NoValue` are left out.

        Raises:
            TemplateError: a function that is not known or is used wrongly, or something whose value must be given.
        """
        found = self._evaluate(place)
        return None if found is self._no_value else found

    def _evaluate(self, place: Place) -> object:
        value = place.value
        if isinstance(value, list):
            items = [self._evaluate(item) for item in value]
            return [item for item in items if item is not self._no_value]
        if isinstance(value, dict):
            if len(value) == 1 and ((name := next(iter(value))) == "Ref" or name == "Condition" or name[:4] == "Fn::"):
                function = self._functions.get(name)
                if function is None:
                    known = ", ".join(sorted(self._functions))
                    raise place.error(f"{place.path}: {name} is not evaluated here; these are: {known}.")
                return function(value[name])
            members = {key: self._evaluate(item) for key, item in value.items()}
            return {key: item for key, item in members.items() if item is not self._no_value}
        if isinstance(value, str) and value.startswith("{{resolve:"):
            return self._given(value, place)
        return value

    def _list(self, place: Place) -> list[object]:
        found = self._evaluate(place)
        if not isinstance(found, list) or not found:
            raise place.error(f"{place.path}: a list is expected here.")
        return found

    def _given(self, name: str, place: Place) -> object:
        if name in self._values:
            return self._values[name]
        raise place.error(
            f"{place.path}: the value of {name!r} is not in the template: give it, values={{{name!r}: ...}}."
        )

    # --- references

    def _ref(self, place: Place) -> object:
        return self._named(str(place.value), place)

    def _named(self, name: str, place: Place) -> object:
        """The value of `Ref`: a parameter's, a pseudo parameter's or a resource's."""
        if name in self._values:
            return self._values[name]
        if name == "AWS::NoValue":
            return self._no_value
        if name in self._pseudo:
            return self._pseudo[name]
        parameters = self._document.root.get("Parameters")
        parameter = parameters.get(name) if parameters else None
        if parameter is not None:
            default = parameter.get("Default")
            if default is None:
                return self._given(name, place)
            kind = parameter.get("Type")
            text = default.value
            if kind is not None and str(kind.value).startswith(("CommaDelimitedList", "List<")):
                return [item.strip() for item in str(text).split(",")]
            return text
        resource, kind_name = self._resource(name, place)
        if kind_name in _CLUSTERS:
            return CLUSTER_ARN
        if kind_name in _REF_IS_ARN:
            return self._arn(name, resource, kind_name)
        if kind_name == "AWS::SQS::Queue":
            region, account = self._pseudo["AWS::Region"], self._pseudo["AWS::AccountId"]
            return f"https://sqs.{region}.amazonaws.com/{account}/{self._name(name, resource, kind_name)}"
        return self._name(name, resource, kind_name)

    def _resource(self, name: str, place: Place) -> tuple[Place, str]:
        resources = self._document.root.get("Resources")
        resource = resources.get(name) if resources else None
        kind = resource.get("Type") if resource else None
        if resource is None or kind is None:
            raise place.error(f"{place.path}: {name!r} is neither a parameter nor a resource of this template.")
        return resource, str(kind.value)

    def _name(self, name: str, resource: Place, kind: str) -> str:
        key = "BucketName" if kind == "AWS::S3::Bucket" else _ARNS.get(kind, ("", "Name", ""))[1]
        properties = resource.get("Properties")
        given = properties.get(key) if properties else None
        return f"{self._pseudo['AWS::StackName']}-{name}" if given is None else str(self.evaluate(given))

    def _arn(self, name: str, resource: Place, kind: str) -> str:
        service, _, infix = _ARNS[kind]
        region = "" if service == "iam" else self._pseudo["AWS::Region"]
        return f"arn:aws:{service}:{region}:{self._pseudo['AWS::AccountId']}:{infix}{self._name(name, resource, kind)}"

    def _get_att(self, place: Place) -> object:
        parts = [str(part) for part in self._list(place)]
        return self._attribute(".".join(parts), place)

    def _attribute(self, path: str, place: Place) -> object:
        if path in self._values:
            return self._values[path]
        name, _, attribute = path.partition(".")
        resource, kind = self._resource(name, place)
        if attribute == "Arn":
            if kind in _CLUSTERS:
                return CLUSTER_ARN
            if kind == "AWS::S3::Bucket":
                return f"arn:aws:s3:::{self._name(name, resource, kind)}"
            if kind in _ARNS:
                return self._arn(name, resource, kind)
        return self._given(path, place)

    # --- text

    def _sub(self, place: Place) -> str:
        own: Mapping[str, Place] = {}
        text = place.value
        if isinstance(text, list):
            if len(text) != 2 or not isinstance(text[1].value, dict):
                raise place.error(f"{place.path}: Fn::Sub takes a text, or a list of a text and a mapping.")
            own, text = text[1].value, text[0].value
        if not isinstance(text, str):
            raise place.error(f"{place.path}: Fn::Sub takes a text, or a list of a text and a mapping.")

        def replaced(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(self.evaluate(own[name]))
            return str(self._attribute(name, place) if "." in name else self._named(name, place))

        return _VARIABLE.sub(replaced, text)

    def _join(self, place: Place) -> str:
        found = self._list(place)
        if len(found) != 2 or not isinstance(found[1], list):
            raise place.error(f"{place.path}: Fn::Join takes a delimiter and a list.")
        return str(found[0]).join(str(item) for item in found[1])

    def _split(self, place: Place) -> list[str]:
        delimiter, text = self._pair(place, "Fn::Split takes a delimiter and a text.")
        return str(text).split(str(delimiter))

    def _select(self, place: Place) -> object:
        index, items = self._pair(place, "Fn::Select takes an index and a list.")
        if not isinstance(items, list) or not 0 <= int(str(index)) < len(items):
            raise place.error(f"{place.path}: Fn::Select takes an index and a list that has it.")
        return items[int(str(index))]

    def _pair(self, place: Place, text: str) -> tuple[object, object]:
        found = self._list(place)
        if len(found) != 2:
            raise place.error(f"{place.path}: {text}")
        return found[0], found[1]

    def _to_json(self, place: Place) -> str:
        import json

        return json.dumps(self.evaluate(place))

    # --- choices

    def _condition(self, name: str, place: Place) -> bool:
        conditions = self._document.root.get("Conditions")
        condition = conditions.get(name) if conditions else None
        if condition is None:
            raise place.error(f"{place.path}: there is no condition {name!r} in this template.")
        return bool(self.evaluate(condition))

    def _if(self, place: Place) -> object:
        if not isinstance(place.value, list) or len(place.value) != 3:
            raise place.error(f"{place.path}: Fn::If takes a condition's name and two values.")
        condition, yes, no = place.value
        return self._evaluate(yes if self._condition(str(condition.value), place) else no)

    def _find_in_map(self, place: Place) -> object:
        keys = [str(key) for key in self._list(place)]
        found: Place | None = self._document.root.get("Mappings")
        for key in keys:
            found = found.get(key) if found else None
        if found is None:
            raise place.error(f"{place.path}: there is no {' / '.join(keys)} in the template's Mappings.")
        return self.evaluate(found)

    def _import_value(self, place: Place) -> object:
        return self._given(str(self.evaluate(place)), place)
