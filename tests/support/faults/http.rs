//! An endpoint: HTTP/1.1 with one fixed answer, with or without TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::{Seen, Server};

impl Server {
    /// Answers every request with this status and no body; over TLS where there is a configuration.
    pub async fn http(status: u16, tls: Option<Arc<ServerConfig>>) -> Self {
        Self::tcp(move |mut stream, seen| {
            let tls = tls.clone();
            async move {
                let _ = stream.set_nodelay(true);
                match tls {
                    None => serve(&mut stream, status, &seen).await,
                    Some(config) => {
                        if let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await {
                            serve(&mut stream, status, &seen).await;
                        }
                    }
                }
            }
        })
        .await
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, status: u16, seen: &Seen) {
    let mut asked = Vec::new();
    let mut some = [0; 1024];
    loop {
        match stream.read(&mut some).await {
            Ok(n @ 1..) => asked.extend_from_slice(&some[..n]),
            Ok(0) | Err(_) => return,
        }
        assert!(asked.len() < 1 << 16, "a request without an end");
        if asked.ends_with(b"\r\n\r\n") {
            asked.clear();
            seen.question();
            let answer = format!("HTTP/1.1 {status} Lab\r\ncontent-length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}
