//! Dynamic configs: they take effect at once, and they survive a restart.

use crate::client::{Client, name};
use crate::node::Home;
use model::ErrorCode;
use protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::describe_configs_response::DescribeConfigsResponse;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;

const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;

/// Sets a config. Returns the error code.
pub async fn set(client: &mut Client, kind: i8, resource: &str, config: &str, value: &str) -> i16 {
    let config = AlterableConfig { name: name(config), value: Some(name(value)), ..Default::default() };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: name(resource),
        configs: vec![config],
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let response: IncrementalAlterConfigsResponse = client.call(&request, 1).await;
    response.responses[0].error_code
}

async fn get(client: &mut Client, kind: i8, resource: &str, config: &str) -> String {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name(resource),
        configuration_keys: Some(vec![name(config)]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let response: DescribeConfigsResponse = client.call(&request, 4).await;
    response.results[0].configs[0].value.as_deref().unwrap_or_default().to_owned()
}

/// What Apache Kafka 4.3.1 takes and shows; it stores the text as it came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_taken_as_java_takes_them_and_outlive_the_broker() {
    let home = Home::new();
    let node = home.ready(&["num.partitions=\u{662}", "log.cleaner.min.cleanable.ratio=0x1p-2"]).await;
    let mut client = node.client().await;
    let forms = [
        ("min.cleanable.dirty.ratio", "0x1p-1", "0.5"),
        ("retention.ms", "\u{663}", "3"),
        ("preallocate", "fal\u{17f}e", "false"),
        ("segment.bytes", " +1048576\u{1f}", "1048576"),
    ];
    client.create_topic("t", 1, &forms.map(|(config, text, _)| (config, text))).await;
    client.create_topic("many", -1, &[]).await;
    assert_eq!(client.metadata("many", false).await.topics[0].partitions.len(), 2);
    assert_eq!(get(&mut client, TOPIC, "many", "min.cleanable.dirty.ratio").await, "0.25");
    for refused in ["0x1", "\u{b2}", "1_0", "\u{a0}1"] {
        let code = set(&mut client, TOPIC, "t", "min.cleanable.dirty.ratio", refused).await;
        assert_eq!(code, ErrorCode::InvalidConfig.code(), "{refused}");
    }
    node.stop().await;
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    for (config, _, shown) in forms {
        assert_eq!(get(&mut client, TOPIC, "t", config).await, shown, "{config}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configs_take_effect_at_once_and_stay() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    client.create_topic("u", 1, &[]).await;
    let large = "x".repeat(500);
    assert_eq!(client.produce("t", 0, &[&large]).await.error_code, 0);
    assert_eq!(set(&mut client, TOPIC, "t", "max.message.bytes", "200").await, 0);
    let too_large = ErrorCode::MessageTooLarge.code();
    assert_eq!(client.produce("t", 0, &[&large]).await.error_code, too_large);
    assert_eq!(client.produce("u", 0, &[&large]).await.error_code, 0);
    assert_eq!(set(&mut client, TOPIC, "t", "max.message.bytes", "-5").await, ErrorCode::InvalidConfig.code());
    // First for all brokers, then for this one, which has precedence.
    assert_eq!(set(&mut client, BROKER, "", "message.max.bytes", "300").await, 0);
    assert_eq!(client.produce("u", 0, &[&large]).await.error_code, too_large);
    assert_eq!(set(&mut client, BROKER, "1", "message.max.bytes", "1000").await, 0);
    assert_eq!(client.produce("u", 0, &[&large]).await.error_code, 0);
    let copy = home.copied();
    node.stop().await;
    for home in [home, copy] {
        let node = home.ready(&[]).await;
        let mut client = node.client().await;
        assert_eq!(get(&mut client, TOPIC, "t", "max.message.bytes").await, "200");
        assert_eq!(get(&mut client, BROKER, "1", "message.max.bytes").await, "1000");
        assert_eq!(client.produce("t", 0, &[&large]).await.error_code, too_large);
        assert_eq!(client.produce("u", 0, &[&large]).await.error_code, 0);
        node.stop().await;
    }
}
