//! Our own resolver for our own connections: never `getaddrinfo` in a blocking thread, which cannot be cancelled.

use std::net::IpAddr;
use std::time::Duration;

use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::{DnsError, NetError};
use hickory_proto::op::ResponseCode;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::readiness::{Gap, Reason};

/// How long one question to one name server may take before it is asked again. Several fit into one look.
const PER_QUESTION: Duration = Duration::from_millis(500);
/// No answer is kept for longer, whatever its TTL says: a failover moves names.
const KEPT_AT_MOST: Duration = Duration::from_secs(60);
/// How long "no such name" is kept.
const NEGATIVE_AT_MOST: Duration = Duration::from_secs(5);

/// Resolves by the system's configuration (`/etc/resolv.conf`, `/etc/hosts`), read when first needed.
#[derive(Default)]
pub(super) struct Resolver {
    inner: OnceCell<TokioResolver>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("made", &self.inner.initialized()).finish()
    }
}

impl Resolver {
    /// Every address of a host, IPv4 and IPv6.
    pub(super) async fn addresses(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, Gap> {
        let late = || Gap::new(Reason::TimedOut, &format!("{host}: no name server answered in time"));
        if Instant::now() >= deadline {
            return Err(late());
        }
        timeout_at(deadline, self.look_up(host)).await.map_err(|_| late())?
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Gap> {
        let resolver = self.inner.get_or_try_init(make).await?;
        let found = resolver.lookup_ip(host).await.map_err(|e| gap_of_net(host, &e))?;
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() {
            return Err(Gap::new(Reason::Unreachable, &format!("{host}: the name has no address")));
        }
        Ok(addresses)
    }
}

/// Reads the system's files in a blocking thread: they may lie on a slow disk.
async fn make() -> Result<TokioResolver, Gap> {
    let gap = |e: &dyn std::fmt::Display| {
        Gap::new(Reason::Unreachable, &format!("the system's resolver configuration cannot be used: {e}"))
    };
    let handle = tokio::runtime::Handle::current();
    let build = move || {
        let _entered = handle.enter();
        let mut builder = TokioResolver::builder(TokioRuntimeProvider::default())?;
        let options = builder.options_mut();
        options.timeout = PER_QUESTION;
        options.attempts = 2;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.try_tcp_on_error = true;
        options.positive_max_ttl = Some(KEPT_AT_MOST);
        options.negative_max_ttl = Some(NEGATIVE_AT_MOST);
        builder.build()
    };
    match tokio::task::spawn_blocking(build).await {
        Ok(Ok(resolver)) => Ok(resolver),
        Ok(Err(e)) => Err(gap(&e)),
        Err(e) => Err(gap(&e)),
    }
}

/// The gap for a name that could not be resolved.
fn gap_of_net(host: &str, e: &NetError) -> Gap {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the resolver's errors are open; the rest is unreachable")]
    match e {
        NetError::Timeout => Gap::new(Reason::TimedOut, &format!("{host}: no name server answered in time")),
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
            Gap::new(Reason::Unreachable, &format!("{host}: no such host (NXDOMAIN)"))
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => {
            Gap::new(Reason::Unreachable, &format!("{host}: the name has no address"))
        }
        other => Gap::new(Reason::Unreachable, &format!("{host}: the name cannot be resolved: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_hosts_file_is_read() {
        let found = Resolver::default().addresses("localhost", Instant::now() + Duration::from_secs(5)).await;
        assert!(found.unwrap().iter().any(IpAddr::is_loopback));
    }

    #[tokio::test]
    async fn a_deadline_that_has_passed_is_a_timeout_and_never_hangs() {
        let gap = Resolver::default().addresses("host.example.com", Instant::now()).await.unwrap_err();
        assert_eq!(gap.reason, Reason::TimedOut);
    }

    #[tokio::test]
    async fn a_silent_name_server_is_a_timeout_at_the_deadline() {
        use hickory_resolver::config::{NameServerConfig, ResolverConfig};
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = silent.local_addr().unwrap();
        let mut server = NameServerConfig::udp(at.ip());
        server.connections.iter_mut().for_each(|c| c.port = at.port());
        let config = ResolverConfig::from_name_servers(vec![server]);
        let inner = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap();
        let resolver = Resolver { inner: OnceCell::new_with(Some(inner)) };
        let began = Instant::now();
        let gap = resolver.addresses("db.example.com", began + Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(gap.reason, Reason::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(3));
        let mut buffer = [0; 512];
        assert!(silent.recv(&mut buffer).await.unwrap() > 12, "it was asked");
    }

    #[test]
    fn errors_have_words() {
        let gap = gap_of_net("db", &NetError::Timeout);
        assert_eq!((gap.reason, gap.detail.as_str()), (Reason::TimedOut, "db: no name server answered in time"));
        let mut none = hickory_net::NoRecords::new(hickory_proto::op::Query::new(), ResponseCode::NXDomain);
        let of =
            |none: &hickory_net::NoRecords| gap_of_net("db", &NetError::Dns(DnsError::NoRecordsFound(none.clone())));
        assert_eq!(of(&none).reason, Reason::Unreachable);
        assert_eq!(of(&none).detail.as_str(), "db: no such host (NXDOMAIN)");
        none.response_code = ResponseCode::NoError;
        assert_eq!(of(&none).detail.as_str(), "db: the name has no address");
    }
}
