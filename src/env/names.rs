//! The only module below the edge that asks the system for names and addresses.

use super::Env;
use std::io;
use std::net::IpAddr;

impl Env {
    /// Returns the name of this host.
    pub fn host_name(self) -> String {
        match self.0 {
            Some(simulator) => simulator.host_name(),
            None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        }
    }

    /// Returns the addresses of a host, in the order of the name server. Errors: there are none.
    pub async fn addresses(self, host: &str) -> io::Result<Vec<IpAddr>> {
        match self.0 {
            Some(simulator) => simulator.addresses(host),
            None => Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()),
        }
    }
}
