//! HTTP as the world's servers speak it: one connection, one request after the other, small bodies.

use std::convert::Infallible;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::shared::Shared;

/// The largest body that is read of a request.
const LARGEST: usize = 64 * 1_024;

/// What is sent back.
pub type Answer = Response<Full<Bytes>>;

/// A request with its body.
#[derive(Debug)]
pub struct Asked {
    /// The head.
    pub head: http::request::Parts,
    /// The body; `None` where it is too long, or was cut off.
    pub body: Option<Bytes>,
}

impl Asked {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// Whether it reads: `GET`, or `HEAD`, whose answer goes without its body.
    #[must_use]
    pub fn reads(&self) -> bool {
        matches!(self.head.method, Method::GET | Method::HEAD)
    }
}

/// Answers every request of a connection. `name` is the server of the world that answers, as slowly as the world has it.
pub async fn serve<H, F>(stream: TcpStream, shared: Shared, name: &'static str, handle: H)
where
    H: Fn(Asked) -> F,
    F: Future<Output = Answer>,
{
    let (handle, shared) = (&handle, &shared);
    let service = service_fn(move |request: Request<Incoming>| async move {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, LARGEST).collect().await.ok().map(http_body_util::Collected::to_bytes);
        let slow = shared.with(|w| w.endpoints.get(name).map(|e| e.slow)).unwrap_or_default();
        tokio::time::sleep(slow).await;
        Ok::<_, Infallible>(handle(Asked { head, body }).await)
    });
    // A client that leaves in the middle is nobody's fault.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// An answer of this status, type and content.
#[must_use]
pub fn answer(status: u16, kind: &'static str, content: impl Into<Bytes>) -> Answer {
    let content = content.into();
    let length = content.len();
    let mut answer = Response::new(Full::new(content));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // For `HEAD` it is the length that `GET` would have.
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    with(answer, CONTENT_TYPE, kind)
}

/// An answer with one more header; a value that HTTP cannot carry is left out.
#[must_use]
pub fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
