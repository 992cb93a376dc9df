"""A function written with the Kafka data classes of Powertools for AWS Lambda."""

from aws_lambda_powertools.utilities.data_classes import KafkaEvent, event_source

sent: list[tuple[str, str]] = []


@event_source(data_class=KafkaEvent)
def handler(event: KafkaEvent, context):
    for record in event.records:
        trace = record.decoded_headers.get("trace-id", b"none").decode()
        sent.append((record.json_value["shipment"], trace))
    return {"sent": len(sent)}
