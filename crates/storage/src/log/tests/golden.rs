//! Files of a real Kafka.
