//! Where a URL leads, as whom and how: every parameter that libpq knows is followed, or refused by name.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::connection::Fault;
use socket2::TcpKeepalive;
use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding;

use crate::socket::Progress;
use crate::tls::TlsSettings;
use crate::url::{Parameters, unusable};

const PORT: u16 = 5432;

/// All that a connection needs to know.
pub(crate) struct Target {
    pub(crate) hosts: Vec<Host>,
    /// User, password, database and what the server is told at the start. It names no host.
    pub(crate) config: Config,
    pub(crate) tls: TlsSettings,
    pub(crate) session: Session,
    /// Whether hosts and their addresses are tried in a random order.
    pub(crate) shuffles: bool,
    /// For each address.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) keepalive: Option<TcpKeepalive>,
    pub(crate) user_timeout: Option<Duration>,
    /// What servers have done, over all connections.
    pub(crate) progress: Arc<Progress>,
}

/// One of the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) place: Place,
    pub(crate) port: u16,
}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A name to be looked up, or an address.
    Named(String),
    /// An address, and the name that its certificate has, if one was given.
    Address(IpAddr, Option<String>),
    /// The directory of a socket.
    Unix(PathBuf),
}

/// What a session must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    Any,
    ReadWrite,
    ReadOnly,
}

impl Target {
    /// Reads a URL or a list of parameters.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let mut given = Parameters::parse(text)?;
        let target = Self {
            hosts: hosts(&mut given)?,
            config: config(&mut given)?,
            tls: TlsSettings::take(&mut given)?,
            session: session(&mut given)?,
            shuffles: one_of(
                &mut given,
                "load_balance_hosts",
                &[("disable", false), ("random", true)],
            )?
            .unwrap_or(false),
            connect_timeout: number(&mut given, "connect_timeout")?.map(Duration::from_secs),
            user_timeout: number(&mut given, "tcp_user_timeout")?.map(Duration::from_millis),
            keepalive: keepalive(&mut given)?,
            progress: Arc::default(),
        };
        harmless(&mut given)?;
        given.finish(&UNSUPPORTED)?;
        Ok(target)
    }

    /// The password, for errors to leave out.
    pub(crate) fn secret(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.config.get_password().map(String::from_utf8_lossy)
    }
}

/// What libpq knows and we do not do. To accept it would promise what does not happen.
const UNSUPPORTED: [&str; 16] = [
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "max_protocol_version",
    "min_protocol_version",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "scram_client_key",
    "scram_server_key",
    "service",
    "servicefile",
    "sslcrldir",
    "sslkeylogfile",
    "sslpassword",
];

fn hosts(given: &mut Parameters) -> Result<Vec<Host>, Fault> {
    let names = list(given, "host")?;
    let addresses = list(given, "hostaddr")?;
    let ports = list(given, "port")?;
    let count = names.len().max(addresses.len());
    if count == 0 {
        return Err(Fault::new(ErrorKind::Config, "the URL names no host"));
    }
    for (parameter, others) in [("host", &names), ("hostaddr", &addresses)] {
        if !matches!(others.len(), 0) && others.len() != count {
            return Err(unusable(
                parameter,
                "has another number of hosts than the other",
            ));
        }
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(unusable(
            "port",
            "has another number of ports than there are hosts",
        ));
    }
    let host = |nth: usize| {
        // One port may stand for all hosts.
        let port = match ports.get(nth).or(ports.first()).map(String::as_str) {
            None | Some("") => PORT,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(unusable("port", "is no port number")),
            },
        };
        let name = names.get(nth).filter(|name| !name.is_empty());
        let place = match (addresses.get(nth).filter(|a| !a.is_empty()), name) {
            (Some(address), name) => match address.parse() {
                Ok(address) => Place::Address(address, name.cloned()),
                Err(_) => return Err(unusable("hostaddr", "is no IP address")),
            },
            (None, Some(path)) if path.starts_with('/') => Place::Unix(path.into()),
            (None, Some(name)) => Place::Named(name.clone()),
            (None, None) => return Err(Fault::new(ErrorKind::Config, "the URL names no host")),
        };
        Ok(Host { place, port })
    };
    (0..count).map(host).collect()
}

fn list(given: &mut Parameters, name: &str) -> Result<Vec<String>, Fault> {
    let value = given.take(name)?;
    let parts = value.iter().flat_map(|value| value.split(','));
    Ok(parts.map(str::to_owned).collect())
}

fn config(given: &mut Parameters) -> Result<Config, Fault> {
    let mut config = Config::new();
    if let Some(user) = given.take("user")? {
        config.user(user);
    }
    if let Some(password) = given.take_bytes("password") {
        config.password(password);
    }
    if let Some(database) = given.take("dbname")? {
        config.dbname(database);
    }
    if let Some(options) = given.take("options")? {
        config.options(options);
    }
    let fallback = given.take("fallback_application_name")?;
    if let Some(name) = given.take("application_name")?.or(fallback) {
        config.application_name(name);
    }
    let bindings = [
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
    if let Some(binding) = one_of(given, "channel_binding", &bindings)? {
        config.channel_binding(binding);
    }
    Ok(config)
}

/// A standby that is chosen on purpose is refused later, with a line that says what it is.
fn session(given: &mut Parameters) -> Result<Session, Fault> {
    let choices = [
        ("any", Session::Any),
        ("read-write", Session::ReadWrite),
        ("primary", Session::ReadWrite),
        ("read-only", Session::ReadOnly),
        ("standby", Session::ReadOnly),
        ("prefer-standby", Session::Any),
    ];
    Ok(one_of(given, "target_session_attrs", &choices)?.unwrap_or(Session::Any))
}

fn keepalive(given: &mut Parameters) -> Result<Option<TcpKeepalive>, Fault> {
    let wanted = given.take("keepalives")?.is_none_or(|on| on.trim() != "0");
    let idle = number(given, "keepalives_idle")?;
    let interval = number(given, "keepalives_interval")?;
    let count = match number(given, "keepalives_count")? {
        Some(count) => Some(count),
        // As tokio-postgres calls it.
        None => number(given, "keepalives_retries")?,
    };
    // Two hours: what systems do by themselves.
    let mut keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(idle.unwrap_or(2 * 60 * 60)));
    if let Some(interval) = interval {
        keepalive = keepalive.with_interval(Duration::from_secs(interval));
    }
    if let Some(count) = count.and_then(|count| u32::try_from(count).ok()) {
        keepalive = keepalive.with_retries(count);
    }
    Ok(wanted.then_some(keepalive))
}

/// What changes nothing here.
fn harmless(given: &mut Parameters) -> Result<(), Fault> {
    // We speak UTF-8, whatever the locale.
    let encodings = [
        ("auto", ()),
        ("utf8", ()),
        ("UTF8", ()),
        ("utf-8", ()),
        ("UTF-8", ()),
    ];
    one_of(given, "client_encoding", &encodings)?;
    // Nothing is encrypted by GSSAPI, which `prefer` leaves to us.
    one_of(given, "gssencmode", &[("disable", ()), ("prefer", ())])?;
    // libpq ignores it too.
    given.take("sslcompression")?;
    Ok(())
}

/// A number above zero. As libpq has it, zero and less are as good as none.
fn number(given: &mut Parameters, name: &str) -> Result<Option<u64>, Fault> {
    let Some(value) = given.take(name)? else {
        return Ok(None);
    };
    match value.trim().parse::<i32>() {
        Ok(number) => Ok(u64::try_from(number).ok().filter(|number| *number > 0)),
        Err(_) => Err(unusable(name, "is not a whole number")),
    }
}

/// One of a few words.
pub(crate) fn one_of<T: Copy>(
    given: &mut Parameters,
    name: &str,
    choices: &[(&str, T)],
) -> Result<Option<T>, Fault> {
    let Some(value) = given.take(name)? else {
        return Ok(None);
    };
    if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == value) {
        return Ok(Some(*choice));
    }
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let why = format!("must be one of {}", words.join(", "));
    Err(unusable(name, &why))
}

/// Hosts and database, never user or password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, host) in self.hosts.iter().enumerate() {
            let comma = if nth > 0 { "," } else { "" };
            write!(f, "{comma}{host}")?;
        }
        let database = self.config.get_dbname().or(self.config.get_user());
        write!(f, "/{}", database.unwrap_or_default())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.place {
            Place::Named(name) if name.contains(':') => write!(f, "[{name}]:{port}"),
            Place::Named(name) | Place::Address(_, Some(name)) => write!(f, "{name}:{port}"),
            Place::Address(IpAddr::V6(address), None) => write!(f, "[{address}]:{port}"),
            Place::Address(address, None) => write!(f, "{address}:{port}"),
            Place::Unix(path) => write!(f, "{}:{port}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let fault = Target::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Config, "{text}");
        fault.detail().to_owned()
    }

    #[test]
    fn what_libpq_and_tokio_postgres_know_is_followed_or_has_no_effect() {
        for parameter in [
            "application_name=a",
            "fallback_application_name=a",
            "channel_binding=require",
            "client_encoding=UTF8",
            "connect_timeout=3",
            "gssencmode=prefer",
            "keepalives=0",
            "keepalives_count=2",
            "keepalives_idle=30",
            "keepalives_interval=3",
            "keepalives_retries=2",
            "load_balance_hosts=random",
            "options=-c%20search_path%3Da",
            "ssl_max_protocol_version=TLSv1.3",
            "ssl_min_protocol_version=TLSv1.2",
            "sslcertmode=disable",
            "sslcompression=0",
            "sslmode=verify-ca",
            "sslnegotiation=postgres",
            "sslsni=0",
            "target_session_attrs=primary",
            "tcp_user_timeout=900",
        ] {
            let url = format!("postgres://u@h/d?{parameter}");
            let target = Target::parse(&url).unwrap_or_else(|fault| panic!("{fault:?}"));
            assert_eq!(target.to_string(), "h:5432/d");
        }
    }

    #[test]
    fn a_parameter_that_cannot_be_used_is_named_and_its_value_is_not() {
        for (parameter, said) in [
            ("sslmod=hunter2", "the URL's parameter sslmod is not known"),
            (
                "Foo-1.x=hunter2",
                "the URL's parameter Foo-1.x is not known",
            ),
            ("passfile=hunter2", "parameter passfile is not supported"),
            (
                "sslpassword=hunter2",
                "parameter sslpassword is not supported",
            ),
            (
                "sslmode=hunter2",
                "parameter sslmode must be one of disable, allow, prefer",
            ),
            ("port=hunter2", "parameter port is no port number"),
            ("hostaddr=hunter2", "parameter hostaddr is no IP address"),
            (
                "connect_timeout=hunter2",
                "parameter connect_timeout is not a whole number",
            ),
            (
                "client_encoding=hunter2",
                "parameter client_encoding must be one of",
            ),
            (
                "application_name=%ff",
                "parameter application_name is not UTF-8",
            ),
        ] {
            let line = refused(&format!("postgres://u:hunter2@h/d?{parameter}"));
            assert!(line.contains(said), "{parameter}: {line}");
            assert!(!line.contains("hunter2"), "{line}");
        }
        assert!(refused("host=h user=u hostname=x").contains("hostname is not known"));
        assert!(refused("postgres:///d?user=u").contains("no host"));
        assert!(refused("").contains("no host"));
    }

    #[test]
    fn hosts_have_their_own_ports_and_addresses() {
        let target = Target::parse("postgres://a:1,b:2/d").unwrap();
        assert_eq!(target.to_string(), "a:1,b:2/d");
        let target = Target::parse("host=a,b hostaddr=::1,127.0.0.1 port=7 dbname=d").unwrap();
        let address = |text: &str| text.parse().unwrap();
        assert_eq!(target.to_string(), "a:7,b:7/d");
        assert_eq!(
            target.hosts[0].place,
            Place::Address(address("::1"), Some("a".into()))
        );
        let target = Target::parse("postgres://u@[::1]:5").unwrap();
        assert_eq!(target.to_string(), "[::1]:5/u");
        assert!(refused("host=a,b hostaddr=127.0.0.1").contains("hostaddr"));
        assert!(refused("host=a,b,c port=1,2").contains("port"));
    }
}
