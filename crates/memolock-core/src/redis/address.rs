//! Addresses: what a URL says, and never its password.

mod reading;

use std::fmt;
use std::path::PathBuf;

use super::Fault;

/// Where to connect and as whom: what a URL says.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// At least one.
    endpoints: Vec<Endpoint>,
    topology: Topology,
    who: Login,
    /// As whom to ask sentinels.
    sentinels: Login,
    database: u32,
}

/// A user and a password, where they were given.
#[derive(Clone, Default, PartialEq, Eq)]
struct Login {
    user: Option<String>,
    /// Some wherever there is a user.
    password: Option<String>,
}

impl Login {
    /// A user without a password has an empty one. Clients that are given no password do not log in, and the server
    /// takes them for its default user, who may have more rights.
    fn new(user: Option<String>, password: Option<String>) -> Self {
        let password = password.or_else(|| user.as_ref().map(|_| String::new()));
        Self { user, password }
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A host and port.
    Tcp {
        /// A name, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A host and port, over TLS.
    Tls {
        /// A name, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// How many servers an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// The one at the endpoint.
    Single,
    /// A cluster; the endpoints are nodes to ask for the others.
    Cluster,
    /// The master of a service; the endpoints are sentinels to ask for it.
    Sentinel {
        /// The name under which sentinels know the master.
        service: String,
    },
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config). The error says what is wrong with the URL and does
    /// not repeat it: it may hold a password in a place where nobody expects one.
    pub fn parse(url: &str) -> Result<Self, Fault> {
        reading::address(url)
    }

    /// Where the server is; of several, the first.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        // There is at least one: `reading` and `at_endpoint` see to it.
        &self.endpoints[0]
    }

    /// Where to ask, in the order given: nodes of a cluster, sentinels, or the one server.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How many servers the address stands for.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The one server there, with the same user, password and database, over TLS if these endpoints are:
    /// a node of this cluster, or the master of this service.
    #[must_use]
    pub fn at_host(&self, host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        self.at_endpoint(match self.endpoint() {
            Endpoint::Tls { .. } => Endpoint::Tls { host, port },
            Endpoint::Tcp { .. } | Endpoint::Unix(_) => Endpoint::Tcp { host, port },
        })
    }

    /// The one server there, with the same user, password and database.
    #[must_use]
    pub fn at_endpoint(&self, endpoint: Endpoint) -> Self {
        Self {
            endpoints: vec![endpoint],
            topology: Topology::Single,
            ..self.clone()
        }
    }

    /// A sentinel of this service, with the user and the password that sentinels are to be told.
    #[must_use]
    pub fn at_sentinel(&self, endpoint: Endpoint) -> Self {
        Self {
            endpoints: vec![endpoint],
            topology: Topology::Single,
            who: self.sentinels.clone(),
            sentinels: Login::default(),
            database: 0,
        }
    }

    /// The same with another user and password, for those that are not in the URL.
    #[must_use]
    pub fn with_login(mut self, user: Option<String>, password: Option<String>) -> Self {
        self.who = Login::new(user, password);
        self
    }

    /// The user, if one was given.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.who.user.as_deref()
    }

    /// The password, if one was given. That of a user without one is empty: the client logs in with it, and the server
    /// decides.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.who.password.as_deref()
    }

    /// The database; 0 if none was given.
    #[must_use]
    pub fn database(&self) -> u32 {
        self.database
    }
}

/// Hosts and ports, or the path. Never user or password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{endpoint}")?;
        }
        match &self.topology {
            Topology::Sentinel { service } => write!(f, "/{service}"),
            Topology::Single | Topology::Cluster => Ok(()),
        }
    }
}

/// `host:port`, or the path.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port } => match host.contains(':') {
                true => write!(f, "[{host}]:{port}"),
                false => write!(f, "{host}:{port}"),
            },
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// As `Display`: never user or password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn fault(url: &str) -> Fault {
        match Address::parse(url) {
            Ok(address) => panic!("{url} was taken for {address}"),
            Err(fault) => fault,
        }
    }

    fn shown(url: &str) -> String {
        Address::parse(url).unwrap().to_string()
    }

    #[test]
    fn the_forms_of_the_documentation_are_read() {
        let full = Address::parse("redis://ann:s%40cret@example.org:7000/3").unwrap();
        assert_eq!(full.to_string(), "example.org:7000");
        assert_eq!(full.password(), Some("s@cret"));
        assert_eq!((full.user(), full.database()), (Some("ann"), 3));
        let (host, port) = ("example.org".to_owned(), 7000);
        assert_eq!(*full.endpoint(), Endpoint::Tcp { host, port });

        assert_eq!(shown("redis://localhost"), "localhost:6379");
        assert_eq!(shown("valkey://localhost:/"), "localhost:6379");
        assert_eq!(shown("redis://[::1]:6380/"), "[::1]:6380");
        assert_eq!(shown("redis://:p%@[::1]"), "[::1]:6379");
        let tls = Address::parse(" REDISS://:pw@example.org/?x=y ").unwrap();
        assert!(matches!(tls.endpoint(), Endpoint::Tls { port: 6379, .. }));
        assert_eq!((tls.user(), tls.password()), (None, Some("pw")));
        let socket = Address::parse("redis+unix:///tmp/r%20.sock?db=2&pass=pw&user=ann").unwrap();
        assert_eq!(socket.to_string(), "/tmp/r .sock");
        assert_eq!((socket.user(), socket.database()), (Some("ann"), 2));
        assert_eq!(socket.password(), Some("pw"));
    }

    #[test]
    fn bad_urls_get_one_line_without_the_password() {
        for url in [
            "",
            "localhost:6379",
            "hunter2",
            "http://:hunter2@localhost",
            "redis://",
            "redis://:hunter2@",
            "redis://:hunter2@host:99999",
            "redis://:hunter2@host/hunter2",
            "redis://:hunter2@host/-1",
            "redis://:hunter2@host/99999999999",
            "redis://:hunter2@host/?protocol=hunter2",
            "redis://:hunter2@ho st/",
            "redis://:hunter2@[::1/",
            "redis://:hunter2@[hunter2]/",
            "redis://:hunter2@[::1]hunter2",
            "redis://:hunter2@::1",
            "redis://:hunter2@0.0.0.0",
            "redis://:%ff@host/",
            "redis://user:hunter2/x@host",
            "redis://user:hunter2?x@host",
            "redis://hunter2:123?x@host",
            "redis://hunter2?x@host",
            "redis://user:x@hunter2?x@host",
            "rediss://:hunter2@host/#hunter2",
            "redis://:#hunter2@host/",
            "redis-cluster://:hunter2@h,",
            "redis-cluster://:hunter2@h?node=hunter2:x",
            "redis-sentinel://:hunter2@h/s/hunter2",
            "redis-sentinel://:hunter2@h/s/1/hunter2",
            "redis-sentinel://h/s?sentinel_pass=%ff",
            "redis-sentinel://user:7000/hunter2@h/s",
            "redis-sentinel://user:7000/hunter2@h",
            "redis+unix://",
            "redis+unix:///",
            "redis+unix://hunter2",
            "redis+unix:///s?db=hunter2",
            "redis://:hunter2@host/1?db=2",
            "redis://:hunter2@host?db=1&db=2",
            "redis://:hunter2@host?db=hunter2",
            "redis://ann:hunter2@host?pass=hunter2",
            "redis://ann@host?pass=hunter2",
            "redis://host?pass=hunter2&pass=x",
            "redis://host?pass=%ff",
            "redis://%ff:hunter2@host",
            "redis://host?username=ann&password=hunter2",
            "redis://host?database=1&pass=hunter2",
            "redis-cluster://:hunter2@host?db=1",
            "redis-sentinel://:hunter2@h/s/1?db=2",
            "redis+unix://ann:hunter2@/s",
        ] {
            let fault = fault(url);
            assert_eq!(fault.kind(), ErrorKind::Config, "{url}");
            assert!(!fault.detail().contains("hunter2"), "{}", fault.detail());
            assert!(fault.detail().contains("redis://"), "{}", fault.detail());
        }
    }

    #[test]
    fn clusters_name_some_of_their_nodes() {
        let cluster =
            Address::parse("redis-cluster://ann:pw@a:7000,b,[::1]:7002?node=c:7003").unwrap();
        assert_eq!(*cluster.topology(), Topology::Cluster);
        assert_eq!(cluster.to_string(), "a:7000,b:6379,[::1]:7002,c:7003");
        let node = cluster.at_host("d", 7004);
        assert_eq!(
            (node.to_string().as_str(), node.topology()),
            ("d:7004", &Topology::Single)
        );
        assert_eq!((node.user(), node.password()), (Some("ann"), Some("pw")));
        let tls = Address::parse("valkeys-cluster://a")
            .unwrap()
            .at_host("b", 1);
        assert!(matches!(tls.endpoint(), Endpoint::Tls { port: 1, .. }));
        assert_eq!(shown("redis-cluster://a/0"), "a:6379");
        assert!(fault("redis-cluster://a/1").detail().contains("database"));
    }

    #[test]
    fn sentinels_have_a_service_a_port_and_a_login_of_their_own() {
        let url =
            "redis-sentinel://ann:pw@a,b:7000/likes%2D1/2?sentinel_user=bob&sentinel_pass=x%20y";
        let address = Address::parse(url).unwrap();
        let service = "likes-1".to_owned();
        assert_eq!(*address.topology(), Topology::Sentinel { service });
        assert_eq!(address.to_string(), "a:26379,b:7000/likes-1");
        assert_eq!((address.user(), address.database()), (Some("ann"), 2));
        let sentinel = address.at_sentinel(address.endpoints()[1].clone());
        assert_eq!(sentinel.to_string(), "b:7000");
        assert_eq!(
            (sentinel.user(), sentinel.password()),
            (Some("bob"), Some("x y"))
        );
        assert_eq!(sentinel.database(), 0);
        let master = address.at_host("m", 1);
        assert_eq!((master.user(), master.database()), (Some("ann"), 2));
        assert!(fault("redis-sentinel://a").detail().contains("service"));
        assert!(fault("redis-sentinel://a//1").detail().contains("service"));
    }

    #[test]
    fn a_single_server_has_one_host() {
        assert_eq!(fault("redis://a,b").kind(), ErrorKind::Config);
    }

    #[test]
    fn debug_shows_no_password() {
        let address = Address::parse("redis://ann:hunter2@host").unwrap();
        assert_eq!(format!("{address:?}"), "Address(host:6379)");
    }
}
