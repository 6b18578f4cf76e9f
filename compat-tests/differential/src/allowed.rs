//! The only allowed differences, each with its reason, and the lists whose order has no meaning.
//! Beside these, batches of `__transaction_state` are compared record by record
//! (`contents::show_each`).

/// How a field may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Another value, but only if both sides have a value.
    Another,
    /// Another value, or none.
    Anything,
}

use Allowed::{Another, Anything};

/// API (`*` for all), field, how it may differ, and why.
const FIELDS: &[(&str, &str, Allowed, &str)] = &[
    ("*", "clusterId", Another, "each cluster has its own id"),
    ("*", "brokers[].port", Another, "two brokers on one machine have two ports"),
    ("*", "nodeEndpoints[].port", Another, "two brokers on one machine have two ports"),
    ("FindCoordinator", "port", Another, "two brokers on one machine have two ports"),
    ("FindCoordinator", "coordinators[].port", Another, "two brokers on one machine have two ports"),
    ("DescribeQuorum", "nodes[].listeners[].port", Another, "two brokers on one machine have two ports"),
    (
        "DescribeQuorum",
        "topics[].partitions[].highWatermark",
        Another,
        "the metadata logs hold different numbers of records",
    ),
    ("DescribeQuorum", "topics[].partitions[].leaderEpoch", Another, "elections at start differ in number"),
    ("DescribeQuorum", "topics[].partitions[].currentVoters[].replicaDirectoryId", Another, "a random id"),
    (
        "DescribeQuorum",
        "topics[].partitions[].currentVoters[].logEndOffset",
        Another,
        "the metadata logs hold different numbers of records",
    ),
    ("DescribeQuorum", "topics[].partitions[].currentVoters[].lastFetchTimestamp", Another, "a time"),
    ("DescribeQuorum", "topics[].partitions[].currentVoters[].lastCaughtUpTimestamp", Another, "a time"),
    ("UpdateRaftVoter", "currentLeader.port", Another, "two brokers on one machine have two ports"),
    ("UpdateRaftVoter", "currentLeader.leaderEpoch", Another, "elections at start differ in number"),
    ("ApiVersions", "finalizedFeaturesEpoch", Another, "the offset of a metadata log"),
    ("Metadata", "topics[].topicId", Another, "a random id"),
    ("CreateTopics", "topics[].topicId", Another, "a random id"),
    ("DeleteTopics", "responses[].topicId", Another, "a random id"),
    ("DescribeTopicPartitions", "topics[].topicId", Another, "a random id"),
    ("Produce", "responses[].partitionResponses[].logAppendTimeMs", Another, "a time"),
    ("InitProducerId", "producerId", Another, "ids are handed out in blocks"),
    ("Fetch", "sessionId", Another, "a random id"),
    ("Fetch", "responses[].partitions[].records[].producerId", Another, "ids are handed out in blocks"),
    (
        "DescribeProducers",
        "topics[].partitions[].activeProducers[].producerId",
        Another,
        "ids are handed out in blocks",
    ),
    ("GetTelemetrySubscriptions", "clientInstanceId", Another, "a random id"),
    ("GetTelemetrySubscriptions", "subscriptionId", Another, "made from the random id"),
    ("JoinGroup", "memberId", Another, "ends in a random id"),
    ("JoinGroup", "leader", Another, "a member's id"),
    ("JoinGroup", "members[].memberId", Another, "ends in a random id"),
    ("LeaveGroup", "members[].memberId", Another, "ends in a random id"),
    ("DescribeGroups", "groups[].members[].memberId", Another, "ends in a random id"),
    ("DescribeLogDirs", "results[].logDir", Another, "two brokers have two folders"),
    ("DescribeLogDirs", "results[].totalBytes", Another, "the disk's size as of then"),
    ("DescribeLogDirs", "results[].usableBytes", Another, "the disk's free space as of then"),
    ("DescribeConfigs", "results[].configs[].documentation", Anything, "Gregor describes settings in its own words"),
];

/// API, list, and the fields that sort it. Kafka answers these lists from a hash table.
const UNORDERED: &[(&str, &str, &[&str])] = &[
    ("ApiVersions", "apiKeys[]", &["apiKey"]),
    ("ApiVersions", "supportedFeatures[]", &["name"]),
    ("ApiVersions", "finalizedFeatures[]", &["name"]),
    ("Metadata", "topics[]", &["name", "topicId"]),
    ("Metadata", "topics[].partitions[]", &["partitionIndex"]),
    ("DescribeConfigs", "results[].configs[]", &["name"]),
    ("CreateTopics", "topics[]", &["name"]),
    ("CreateTopics", "topics[].configs[]", &["name"]),
    ("DescribeAcls", "resources[]", &["resourceType", "resourceName", "patternType"]),
    ("DescribeAcls", "resources[].acls[]", &["principal", "host", "operation", "permissionType"]),
    (
        "DeleteAcls",
        "filterResults[].matchingAcls[]",
        &["resourceType", "resourceName", "patternType", "principal", "host", "operation", "permissionType"],
    ),
    ("DeleteTopics", "responses[]", &["name", "errorCode"]),
    ("CreatePartitions", "results[]", &["name"]),
    ("AlterConfigs", "responses[]", &["resourceType", "resourceName"]),
    ("IncrementalAlterConfigs", "responses[]", &["resourceType", "resourceName"]),
    ("JoinGroup", "members[]", &["groupInstanceId", "metadata", "memberId"]),
    ("DescribeGroups", "groups[]", &["groupId"]),
    ("DescribeGroups", "groups[].members[]", &["groupInstanceId", "memberMetadata", "memberAssignment", "memberId"]),
    ("ListGroups", "groups[]", &["groupId"]),
    ("DescribeLogDirs", "results[].topics[]", &["name"]),
    ("DescribeLogDirs", "results[].topics[].partitions[]", &["partitionIndex"]),
    ("OffsetFetch", "topics[]", &["name"]),
    ("OffsetFetch", "topics[].partitions[]", &["partitionIndex"]),
    ("OffsetFetch", "groups[].topics[]", &["name", "topicId"]),
    ("OffsetFetch", "groups[].topics[].partitions[]", &["partitionIndex"]),
    ("DeleteRecords", "topics[]", &["name"]),
    ("DeleteRecords", "topics[].partitions[]", &["partitionIndex"]),
    ("Produce", "responses[]", &["name", "topicId"]),
    ("Produce", "responses[].partitionResponses[]", &["index"]),
    ("OffsetDelete", "topics[]", &["name"]),
    ("DeleteGroups", "results[]", &["groupId"]),
    ("ListOffsets", "topics[]", &["name"]),
    ("ListOffsets", "topics[].partitions[]", &["partitionIndex"]),
    ("ListConfigResources", "configResources[]", &["resourceType", "resourceName"]),
    ("DescribeProducers", "topics[].partitions[].activeProducers[]", &["producerId"]),
    ("UpdateFeatures", "results[]", &["feature"]),
    ("AddPartitionsToTxn", "resultsByTransaction[]", &["transactionalId"]),
    ("AddPartitionsToTxn", "resultsByTransaction[].topicResults[]", &["name"]),
    ("AddPartitionsToTxn", "resultsByTransaction[].topicResults[].resultsByPartition[]", &["partitionIndex"]),
    ("AddPartitionsToTxn", "resultsByTopicV3AndBelow[]", &["name"]),
    ("AddPartitionsToTxn", "resultsByTopicV3AndBelow[].resultsByPartition[]", &["partitionIndex"]),
    ("DescribeTransactions", "transactionStates[].topics[]", &["topic"]),
    ("ListTransactions", "transactionStates[]", &["transactionalId"]),
    ("ListTransactions", "unknownStateFilters[]", &[]),
    ("WriteTxnMarkers", "markers[]", &["producerId"]),
    ("WriteTxnMarkers", "markers[].topics[]", &["name"]),
    ("WriteTxnMarkers", "markers[].topics[].partitions[]", &["partitionIndex"]),
    // If all partitions were meant, the order follows the topics' random ids.
    ("ElectLeaders", "replicaElectionResults[]", &["topic"]),
    // The size of Kafka's table depends on earlier content.
    ("DescribeClientQuotas", "entries[]", &["entity"]),
    // The order follows the address of an enum's value.
    ("DescribeUserScramCredentials", "results[].credentialInfos[]", &["mechanism"]),
];

/// Returns how a field may differ, or `None` if it may not.
pub fn rule(api: &str, path: &str) -> Option<Allowed> {
    FIELDS.iter().find(|(of, field, ..)| (*of == "*" || *of == api) && *field == path).map(|row| row.2)
}

/// Returns the fields that sort a list, or `None` if its order counts.
pub fn order(api: &str, path: &str) -> Option<&'static [&'static str]> {
    UNORDERED.iter().find(|(of, list, _)| *of == api && *list == path).map(|row| row.2)
}

/// Prints the table for the reader.
pub fn print() {
    println!("allowed differences:");
    for (api, field, how, why) in FIELDS {
        let how = if *how == Anything { "anything" } else { "another value" };
        println!("  {api} {field}: {how}, {why}");
    }
}
