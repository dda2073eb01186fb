"""A device on the AWS IoT Device SDK for Python, over MQTT 3.1.1: installs what it is told to and runs it."""

import hashlib
import json
import sys
import threading
import urllib.request

from awscrt import mqtt
from awsiot import mqtt_connection_builder

settings = json.loads(sys.argv[1])
device_id = settings["deviceId"]
status_topic = f"paku/edge/{device_id}/status"
ota_topic = f"paku/devices/{device_id}/ota"


def run(version):
    """Runs a version until it is told to install another one, which is returned."""
    commands, arrived = [], threading.Event()

    def on_command(topic, payload, **_):
        commands.append(json.loads(payload))
        arrived.set()

    connection = mqtt_connection_builder.mtls_from_path(
        endpoint=settings["host"],
        port=settings["port"],
        cert_filepath=settings["certificateFile"],
        pri_key_filepath=settings["privateKeyFile"],
        ca_filepath=settings["caFile"],
        client_id=device_id,
        clean_session=True,
        keep_alive_secs=30,
        will=mqtt.Will(status_topic, mqtt.QoS.AT_LEAST_ONCE, b'{"online":false}', True),
    )
    connection.connect().result(20)

    def publish(topic, message, retain=False):
        sent, _ = connection.publish(topic, json.dumps(message), mqtt.QoS.AT_LEAST_ONCE, retain)
        sent.result(20)

    subscribed, _ = connection.subscribe(f"paku/devices/{device_id}/cmd/ota", mqtt.QoS.AT_LEAST_ONCE, on_command)
    subscribed.result(20)
    while not arrived.is_set():
        publish(status_topic, {"firmware_version": version, "device_model": settings["model"]}, retain=True)
        arrived.wait(1)

    command = commands[0]
    publish(f"{ota_topic}/status", {"status": "accepted", "version": command["version"]})
    with urllib.request.urlopen(command["url"], timeout=20) as answer:
        image = answer.read()
    is_right = hashlib.sha256(image).hexdigest() == command["checksum"]
    result = {"version": command["version"], "success": is_right, "result_code": 0 if is_right else 3}
    publish(f"{ota_topic}/result", result)
    connection.disconnect().result(20)
    return command["version"] if is_right else version


version = settings["version"]
while True:
    version = run(version)
