"""Runs the scenarios through every Python client: main.py BOOTSTRAP [CLIENT...]"""

import importlib
import logging
import sys

from scenarios import Suite
from transactions import Transactions

CLIENTS = {"confluent-kafka": "confluent", "kafka-python": "kafka_python", "aiokafka": "aio"}


def main():
    bootstrap, *names = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    good = True
    for name in names or CLIENTS:
        client = importlib.import_module(CLIENTS[name]).Client(bootstrap)
        suite = Suite(name, client)
        good &= suite.run()
        good &= Transactions(suite).run()
        client.close()
    sys.exit(not good)


main()
