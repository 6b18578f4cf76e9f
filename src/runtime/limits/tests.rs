//! Tests of the limits of connections and of request memory, without a socket.

use super::*;
use futures_util::FutureExt as _;
use std::net::Ipv4Addr;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn limits(maxima: Maxima) -> Arc<ConnectionLimits> {
    let limits = Arc::new(ConnectionLimits::default());
    limits.set(maxima);
    limits
}

/// Returns the immediate answer to a connection: `Err` if it would wait.
fn enter(limits: &Arc<ConnectionLimits>, ip: IpAddr) -> Result<Option<Place>, ()> {
    limits.enter(Side::Broker, ip).now_or_never().ok_or(())
}

#[test]
fn without_maxima_every_connection_has_a_place() {
    let limits = limits(Maxima::default());
    let places: Vec<Place> = (0..10_000).map(|_| enter(&limits, HOME).unwrap().unwrap()).collect();
    assert_eq!(limits.broker.lock().total, 10_000);
    drop(places);
    let counts = limits.broker.lock();
    assert_eq!((counts.total, counts.by_ip.len()), (0, 0));
}

#[test]
fn max_connections_lets_one_wait_until_another_ends() {
    let limits = limits(Maxima { connections: 2, ..Maxima::default() });
    let first = enter(&limits, HOME).unwrap().unwrap();
    let _second = enter(&limits, AWAY).unwrap().unwrap();
    let mut third = Box::pin(limits.enter(Side::Broker, AWAY));
    let mut fourth = Box::pin(limits.enter(Side::Broker, HOME));
    assert!((&mut third).now_or_never().is_none());
    assert!((&mut fourth).now_or_never().is_none());
    drop(first);
    // Two listeners wait, and only one of them gets the free place.
    let third = third.now_or_never().unwrap().unwrap();
    assert!((&mut fourth).now_or_never().is_none());
    drop(third);
    assert!(fourth.now_or_never().unwrap().is_some());
}

#[test]
fn the_controllers_connections_are_counted_separately() {
    let limits = limits(Maxima { connections: 1, per_ip: 1, ..Maxima::default() });
    let _broker = enter(&limits, HOME).unwrap().unwrap();
    assert!(enter(&limits, AWAY).is_err());
    let _controller = limits.enter(Side::Controller, HOME).now_or_never().unwrap().unwrap();
    assert!(limits.enter(Side::Controller, AWAY).now_or_never().is_none());
}

#[test]
fn max_connections_per_ip_refuses_an_address_and_no_other() {
    let limits = limits(Maxima { per_ip: 2, ..Maxima::default() });
    let _first = enter(&limits, HOME).unwrap().unwrap();
    let second = enter(&limits, HOME).unwrap().unwrap();
    assert!(enter(&limits, HOME).unwrap().is_none());
    let _other = enter(&limits, AWAY).unwrap().unwrap();
    // A refused connection takes no place.
    drop(second);
    assert!(enter(&limits, HOME).unwrap().is_some());
}

#[test]
fn maxima_are_set_without_a_name_server() {
    let limits = limits(Maxima::default());
    let maxima = |most| Maxima { overrides: vec![("home.example".to_owned(), most)], ..Maxima::default() };
    let of_home = || limits.in_force.lock().by_address.get(&HOME).copied();
    let found = || HashMap::from([("home.example".to_owned(), HOME)]);
    let first = limits.set(maxima(1));
    assert_eq!(first.names, ["home.example"]);
    assert_eq!(of_home(), None, "its address is not known yet");
    let second = limits.set(maxima(2));
    limits.resolved(&first, found());
    assert_eq!(of_home(), None, "an answer to an older question");
    limits.resolved(&second, found());
    assert_eq!(of_home(), Some(2));
    limits.set(maxima(3));
    assert_eq!(of_home(), Some(3), "the address that it had counts until there is a newer one");
}

#[test]
fn an_override_raises_or_lowers_the_limit_of_its_address() {
    let overrides = vec![(HOME.to_string(), 3), (AWAY.to_string(), 0)];
    let limits = limits(Maxima { per_ip: 1, overrides, ..Maxima::default() });
    let places: Vec<Place> = std::iter::from_fn(|| enter(&limits, HOME).unwrap()).collect();
    assert_eq!(places.len(), 3);
    assert!(enter(&limits, AWAY).unwrap().is_none());
    assert!(!limits.broker.lock().by_ip.contains_key(&AWAY));
    let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    let _place = enter(&limits, other).unwrap().unwrap();
    assert!(enter(&limits, other).unwrap().is_none());
}

#[test]
fn a_full_broker_does_not_look_at_the_address_yet() {
    let limits = limits(Maxima { connections: 1, per_ip: 1, ..Maxima::default() });
    let place = enter(&limits, HOME).unwrap().unwrap();
    let mut second = Box::pin(limits.enter(Side::Broker, HOME));
    assert!((&mut second).now_or_never().is_none());
    drop(place);
    assert!(second.now_or_never().unwrap().is_some());
}

#[test]
fn new_maxima_hold_at_once_and_close_nothing() {
    let limits = limits(Maxima { connections: 1, ..Maxima::default() });
    let first = enter(&limits, HOME).unwrap().unwrap();
    let mut second = Box::pin(limits.enter(Side::Broker, HOME));
    assert!((&mut second).now_or_never().is_none());
    limits.set(Maxima { connections: 2, ..Maxima::default() });
    let second = second.now_or_never().unwrap().unwrap();
    limits.set(Maxima { connections: 1, ..Maxima::default() });
    drop(first);
    assert!(enter(&limits, HOME).is_err());
    drop(second);
    assert!(enter(&limits, HOME).unwrap().is_some());
}

#[tokio::test]
async fn a_free_place_wakes_a_waiting_connection() {
    let limits = limits(Maxima { connections: 1, ..Maxima::default() });
    let place = limits.enter(Side::Broker, HOME).await.unwrap();
    let waiting = tokio::spawn({
        let limits = limits.clone();
        async move { limits.enter(Side::Broker, AWAY).await.is_some() }
    });
    tokio::task::yield_now().await;
    drop(place);
    assert!(waiting.await.unwrap());
}

#[test]
fn memory_without_a_limit_is_free() {
    for bytes in [0, -1, i64::MIN] {
        let memory = MemoryLimit::new(bytes);
        assert!(memory.take(usize::MAX).now_or_never().unwrap().is_none());
    }
}

#[test]
fn memory_is_taken_and_given_back() {
    let memory = MemoryLimit::new(4096);
    let some = memory.take(3000).now_or_never().unwrap();
    assert!(some.is_some());
    assert!(memory.take(1025).now_or_never().is_none());
    let rest = memory.take(1024).now_or_never().unwrap();
    assert!(memory.take(1).now_or_never().is_none());
    // A frame without bytes needs no memory.
    assert!(memory.take(0).now_or_never().is_some());
    drop((some, rest));
    // A frame above the whole limit reserves all of it, and can be served.
    let all = memory.take(usize::MAX).now_or_never().unwrap();
    assert!(memory.take(1).now_or_never().is_none());
    drop(all);
    assert!(memory.take(4096).now_or_never().is_some());
}

#[test]
fn segments_leave_half_of_the_files_to_connections() {
    assert_eq!([None, Some(1 << 20), Some(300), Some(0)].map(segment_files_max), [4096, 4096, 150, 1]);
}

#[test]
fn any_limit_of_memory_can_be_set() {
    for bytes in [1, 1023, i64::from(u32::MAX), i64::MAX] {
        let memory = MemoryLimit::new(bytes);
        let all = memory.take(usize::MAX).now_or_never().unwrap();
        assert!(all.is_some(), "{bytes}");
        assert!(memory.take(1).now_or_never().is_none(), "{bytes}");
    }
}
