//! URLs of servers: read or refused, and their password told to nobody.

use arbitrary::{Result, Unstructured};
use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Endpoint};

use crate::data;

/// No URL has this by chance.
const SECRET: &str = "Zq9hunter2xW7";

/// Any text is read or refused in one line; a password, wherever it stands and whatever is in it, shows
/// in none of what is printed; and what is properly encoded is read back.
pub fn urls(data: &[u8]) {
    if let Ok(url) = std::str::from_utf8(data) {
        let _ = read(url);
    }
    let _ = written(&mut Unstructured::new(data));
    let _ = careless(&mut Unstructured::new(data));
}

/// Reads it, and looks at all that is ever shown of it.
fn read(url: &str) -> (Option<Address>, String) {
    match Address::parse(url) {
        Ok(address) => {
            let shown = format!("{address} {address:?}");
            (Some(address), shown)
        }
        Err(fault) => {
            let known = [ErrorKind::Config, ErrorKind::Unsupported];
            assert!(known.contains(&fault.kind()), "{fault:?}");
            let detail = fault.detail();
            assert!(!detail.chars().any(char::is_control), "{detail:?}");
            (None, format!("{fault:?}"))
        }
    }
}

/// What a user pastes: the password as it is, with characters in it that a URL takes for its own.
fn careless(from: &mut Unstructured<'_>) -> Result<()> {
    let scheme = *from.choose(&[
        "redis",
        "rediss",
        "valkey",
        "redis-cluster",
        "redis-sentinel",
        "http",
        "REDIS",
    ])?;
    let user = *from.choose(&["", "ann", "ann%40"])?;
    let (before, after) = (data::text(from)?, data::text(from)?);
    let rest = *from.choose(&[
        "host",
        "host:7000",
        "[::1]:7000/2",
        "host/?protocol=resp3",
        "",
    ])?;
    let password = format!("{before}{SECRET}{after}");
    let url = format!("{scheme}://{user}:{password}@{rest}");
    let (_, shown) = read(&url);
    assert!(!shown.contains(SECRET), "{url:?}: {shown:?}");
    for place in [
        "redis+unix:///tmp/r.sock",
        "redis://h",
        "redis-sentinel://h/s",
    ] {
        let url = format!("{place}?user={user}&pass={password}&db=1");
        let (_, shown) = read(&url);
        assert!(!shown.contains(SECRET), "{url:?}: {shown:?}");
    }
    Ok(())
}

/// What a program writes: everything percent-encoded.
fn written(from: &mut Unstructured<'_>) -> Result<()> {
    let (user, password) = (data::text(from)?, data::text(from)?);
    let (port, database) = (from.arbitrary::<u16>()?, from.arbitrary::<u32>()?);
    let tls = from.arbitrary::<bool>()?;
    let host = *from.choose(&["h", "example.org", "127.0.0.1", "::1"])?;
    let [shown_user, shown_password] = [&user, &password].map(|text| encoded(text));
    let place = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let scheme = if tls { "rediss" } else { "redis" };
    let url = format!("{scheme}://{shown_user}:{shown_password}@{place}:{port}/{database}");
    let address = read(&url).0.unwrap_or_else(|| panic!("{url} was refused"));
    let host = host.to_owned();
    let endpoint = match tls {
        true => Endpoint::Tls { host, port },
        false => Endpoint::Tcp { host, port },
    };
    assert_eq!(*address.endpoint(), endpoint);
    credentials(&address, &user, &password, database);
    let url =
        format!("{scheme}://{place}:{port}/?pass={shown_password}&db={database}&user={shown_user}");
    let query = read(&url).0.unwrap_or_else(|| panic!("{url} was refused"));
    assert!(query == address, "{url}");

    let path = format!("/{}", data::text(from)?);
    if !path.trim_matches('/').is_empty() {
        let url = format!(
            "unix://{}?user={shown_user}&pass={shown_password}&db={database}",
            encoded(&path)
        );
        let address = read(&url).0.unwrap_or_else(|| panic!("{url} was refused"));
        assert_eq!(*address.endpoint(), Endpoint::Unix(path.into()));
        credentials(&address, &user, &password, database);
    }
    Ok(())
}

fn credentials(address: &Address, user: &str, password: &str, database: u32) {
    // A client that is given no password does not log in: whoever names a user gives one.
    assert!(address.user().is_none() || address.password().is_some());
    assert_eq!(address.user().unwrap_or_default(), user);
    assert_eq!(address.password().unwrap_or_default(), password);
    assert_eq!(address.database(), database);
}

/// Letters and digits as they are, and all else as `%XX`.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => out.push(byte.into()),
            false => out += &format!("%{byte:02X}"),
        }
    }
    out
}
