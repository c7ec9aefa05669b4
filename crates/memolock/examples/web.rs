//! A web service with memoized answers: start two of them over one Redis and see who computes.
//!
//! ```sh
//! cargo run -p memolock --features redis-rs --example web -- --listen 127.0.0.1:8001   # embedded backend
//! MEMOLOCK_URL=redis://127.0.0.1:6379 cargo run -p memolock --features redis-rs --example web
//! ```
//!
//! | path | shows |
//! |---|---|
//! | `/query/simple/{id}` | a slow query, asked once by the whole fleet |
//! | `/report/renewable/{id}` | work longer than its fixed lease, which it renews |
//! | `/report/oh-no/{id}` | work that forgets to: the lease is lost, and the answer says so |
//! | `/ext/stemmer/{word}` | a Python program stems, stores and publishes; nothing is polled |
//! | `/health` | which backend it is, and how often anything was computed here |

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use memolock::codec::Text;
use memolock::memory::MemoryBackend;
use memolock::redis_rs::RedisBackend;
use memolock::{Backend, Error, Lease, Memo, Memolock};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::task::TaskTracker;

/// What a query costs; long enough for callers to meet.
const QUERY: Duration = Duration::from_millis(500);

/// The fixed lease of reports: shorter than the work, to show what comes of that.
const REPORT_LEASE: Duration = Duration::from_millis(600);

/// How long requests may go on once the service is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The other program, started with the interpreter that `MEMOLOCK_PYTHON` names.
const STEMMER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/stemmer.py");

/// What the handlers share. Memolocks and backends are cheap handles.
#[derive(Clone)]
struct App {
    backend: Arc<dyn Backend>,
    url: Option<String>,
    queries: Memolock<String>,
    reports: Memolock<String>,
    stems: Memolock<String, Text>,
    computes: Arc<AtomicU64>,
    /// Programs that were started and have not ended.
    programs: TaskTracker,
}

/// Why a report was not made.
#[derive(Debug)]
enum ReportError {
    LeaseLost(String),
    Store(String),
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let app = App::open().await?;
    let listener = TcpListener::bind(listen_address()).await?;
    let name = app.backend.capabilities().name;
    println!("listening on {} over {name}", listener.local_addr()?);

    let router = Router::new()
        .route("/query/simple/{id}", get(simple))
        .route("/report/renewable/{id}", get(renewable))
        .route("/report/oh-no/{id}", get(oh_no))
        .route("/ext/stemmer/{word}", get(stemmer))
        .route("/health", get(health))
        .with_state(app.clone());
    let late = app.clone();
    let stop = async move {
        stopped().await;
        println!("stopping");
        // Requests that are still there after the grace get a clean answer from the close.
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            late.close().await;
        });
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await?;
    app.close().await;
    println!("closed");
    Ok(())
}

impl App {
    async fn open() -> Result<Self, Failed> {
        let url = std::env::var("MEMOLOCK_URL").ok().filter(|u| !u.is_empty());
        let backend: Arc<dyn Backend> = match &url {
            Some(url) => Arc::new(RedisBackend::connect(url).await?),
            None => Arc::new(MemoryBackend::new()),
        };
        let queries = Memolock::builder("query", Arc::clone(&backend));
        // As the ancestors had it: the work itself says for how much longer it needs the lease.
        let reports = Memolock::builder("report", Arc::clone(&backend)).fixed_lease();
        // Text, so that a program in any language stores the value as it is.
        let stems = Memolock::builder("stemmer", Arc::clone(&backend)).codec(Text);
        Ok(Self {
            queries: queries.ttl(Duration::from_secs(60)).build().await?,
            reports: reports.lease(REPORT_LEASE).build().await?,
            stems: stems.wait_timeout(Duration::from_secs(20)).build().await?,
            computes: Arc::default(),
            programs: TaskTracker::new(),
            backend,
            url,
        })
    }

    async fn close(&self) {
        self.queries.close().await;
        self.reports.close().await;
        self.stems.close().await;
        self.programs.close();
        // One that hangs is left to itself.
        let _ = tokio::time::timeout(GRACE, self.programs.wait()).await;
        self.backend.close().await;
    }

    /// Stands for work that the database should do once.
    async fn query(&self, id: &str) -> Result<String, ReportError> {
        self.computes.fetch_add(1, Relaxed);
        tokio::time::sleep(QUERY).await;
        Ok(format!("the answer to {id}"))
    }

    /// Several steps, each shorter than the lease and all together longer.
    async fn report(&self, id: &str, lease: &Lease, renews: bool) -> Result<String, ReportError> {
        self.computes.fetch_add(1, Relaxed);
        for step in 1..=4 {
            tokio::time::sleep(REPORT_LEASE / 2).await;
            if renews || step == 4 {
                // Who forgot it until now is told that it is too late.
                lease.renew(REPORT_LEASE).await?;
            }
        }
        Ok(format!("the report on {id}"))
    }

    /// Starts the program and does not wait for it: what it publishes wakes us.
    async fn start_stemmer(&self, word: &str) -> Result<(), std::io::Error> {
        self.computes.fetch_add(1, Relaxed);
        let python = std::env::var("MEMOLOCK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut child = Command::new(python)
            .arg(STEMMER)
            // Not among the arguments, which every user of the machine can read: there may be a password.
            .env("MEMOLOCK_URL", self.url.as_deref().unwrap_or_default())
            .args(["stemmer", word])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let (stems, word) = (self.stems.clone(), word.to_owned());
        self.programs.spawn(async move {
            // So that no zombie is left, and nobody waits in vain for a program that failed.
            if !child.wait().await.is_ok_and(|status| status.success()) {
                eprintln!("the stemmer failed on {word}");
                let _ = stems.invalidate(&word).await;
            }
        });
        Ok(())
    }
}

async fn simple(State(app): State<App>, Path(id): Path<String>) -> Response {
    let got = app.queries.entry(&id).or_compute(|_| app.query(&id));
    answer(&id, got.await)
}

async fn renewable(State(app): State<App>, Path(id): Path<String>) -> Response {
    let work = |lease: Lease| async { app.report(&id, &{ lease }, true).await };
    answer(&id, app.reports.entry(&id).or_compute(work).await)
}

async fn oh_no(State(app): State<App>, Path(id): Path<String>) -> Response {
    let id = format!("oh-no/{id}");
    let work = |lease: Lease| async { app.report(&id, &{ lease }, false).await };
    answer(&id, app.reports.entry(&id).or_compute(work).await)
}

async fn stemmer(State(app): State<App>, Path(word): Path<String>) -> Response {
    if app.url.is_none() {
        let why = "no other program can reach the embedded backend: set MEMOLOCK_URL";
        return refusal(StatusCode::NOT_IMPLEMENTED, why);
    }
    let trigger = || app.start_stemmer(&word);
    answer(&word, app.stems.entry(&word).or_external(trigger).await)
}

async fn health(State(app): State<App>) -> Response {
    Json(json!({
        "status": "ok",
        "backend": app.backend.capabilities().name,
        "computes": app.computes.load(Relaxed),
        "closed": app.queries.is_closed(),
    }))
    .into_response()
}

/// The one place where errors become status codes.
fn answer(id: &str, got: Result<Memo<String>, Error>) -> Response {
    let error = match got {
        Ok(memo) => {
            let source = format!("{:?}", memo.source()).to_lowercase();
            return Json(json!({ "id": id, "value": *memo, "source": source })).into_response();
        }
        Err(error) => error,
    };
    let status = match &error {
        Error::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        Error::Remote { .. } => StatusCode::BAD_GATEWAY,
        Error::Key(_) => StatusCode::BAD_REQUEST,
        Error::Compute(_) | Error::LeaseLost { .. } | Error::Backend(_) | Error::Closed => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refusal(status, &error.to_string())
}

fn refusal(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

impl std::error::Error for ReportError {}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaseLost(why) => write!(f, "the report took longer than its lease: {why}"),
            Self::Store(why) => write!(f, "the report was broken off: {why}"),
        }
    }
}

/// What `lease.renew` says.
impl From<Error> for ReportError {
    fn from(error: Error) -> Self {
        match error {
            Error::LeaseLost { .. } => Self::LeaseLost(error.to_string()),
            other => Self::Store(other.to_string()),
        }
    }
}

/// The argument after `--listen`.
fn listen_address() -> String {
    let mut args = std::env::args().skip_while(|arg| arg != "--listen");
    let address = args.nth(1);
    address.unwrap_or_else(|| "127.0.0.1:8000".to_owned())
}

/// Until the service is told to stop: by ctrl-c, or by the signal that orchestrators send.
async fn stopped() {
    let ctrl_c = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut term) = signal(SignalKind::terminate()) else {
            let _ = ctrl_c.await;
            return;
        };
        tokio::select! {
            _ = ctrl_c => {}
            _ = term.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = ctrl_c.await;
}
