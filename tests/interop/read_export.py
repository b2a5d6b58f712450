"""Reads what `keyhaven audit export` writes with other people's parsers, and prints for each entry its index, operation and principal.

Usage: read_export.py syslog|ocsf|otlp FILE"""

import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from py_ocsf_models.events.base_event import BaseEvent
from py_ocsf_models.objects.api import API
from py_ocsf_models.objects.resource_details import ResourceDetails
from syslog_rfc5424_parser import SyslogMessage


def syslog(line):
    message = SyslogMessage.parse(line).as_dict()
    assert message["facility"] == "audit" and message["appname"] == "keyhaven", message
    data = message["sd"]["keyhaven@32473"]
    entry = json.loads(message["msg"].lstrip("\ufeff"))
    assert data["index"] == str(entry["index"]), message
    yield entry["index"], message["msgid"], data["principal"]


def ocsf(line):
    event = json.loads(line)
    # The package knows the objects and the base of every class, not this class: its own required attributes
    # (schema.ocsf.io/classes/api_activity) are asked for here.
    base = BaseEvent.model_validate(event)
    api = API.model_validate(event["api"])
    [ResourceDetails.model_validate(resource) for resource in event["resources"]]
    for required in ("activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id", "src_endpoint", "time", "type_uid"):
        assert event[required] is not None, required
    assert event["class_uid"] == 6003 and event["type_uid"] == 600300 + event["activity_id"], event
    yield base.metadata.sequence, api.operation, event["actor"]["user"]["name"]


def otlp(line):
    # Refuses members that the protocol does not have.
    request = json_format.Parse(line, ExportLogsServiceRequest())
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                attributes = {pair.key: pair.value for pair in record.attributes}
                assert record.time_unix_nano > 0 and record.severity_number > 0, record
                yield attributes["keyhaven.index"].int_value, record.event_name, attributes["keyhaven.principal"].string_value


readers = {"syslog": syslog, "ocsf": ocsf, "otlp": otlp}
with open(sys.argv[2], encoding="utf-8", newline="\n") as file:
    for line in file:
        for index, operation, principal in readers[sys.argv[1]](line.removesuffix("\n")):
            print(json.dumps([index, operation, principal]))
