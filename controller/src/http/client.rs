//! The command line's side of the API.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

type Content = BoxBody<Bytes, std::io::Error>;

/// The controller has no such thing: asking again does not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// A client of one controller.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the controller on that state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self {
            socket: state.join(crate::app::SOCKET),
        }
    }

    /// A client of the controller that listens at this socket.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Content,
    ) -> anyhow::Result<Response<Incoming>> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| {
            let at = self.socket.display();
            let why = if error.kind() == std::io::ErrorKind::PermissionDenied {
                format!("this account may not open {at}: a controller is asked by the account that it runs as, or, where it has a socket for several operators, by the members of that socket's group (`--socket` or ENTRAIN_SOCKET names it)")
            } else {
                format!("no controller answers at {at}; is `entrain serve` running on this state?")
            };
            anyhow::Error::new(error).context(why)
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the controller ended");
            }
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "controller")
            .header("content-type", "application/json")
            .body(body)?;
        let response = sender
            .send_request(request)
            .await
            .context(
                "the controller broke off before it answered, so what you asked for may be done or not: look (entrain status, entrain logs) before you ask again",
            )?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match problem["detail"].as_str() {
            Some(detail) if status == StatusCode::NOT_FOUND => {
                Err(Missing(detail.to_owned()).into())
            }
            Some(detail) => bail!("{detail}"),
            None => bail!(
                "the controller answered {status}: {}",
                String::from_utf8_lossy(&bytes)
            ),
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When there is no controller, or it says no.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        read(self.send(Method::GET, path, empty()).await?).await
    }

    /// Asks for bytes.
    ///
    /// # Errors
    /// When there is no controller, or it says no.
    pub async fn bytes(&self, path: &str) -> anyhow::Result<Bytes> {
        Ok(self
            .send(Method::GET, path, empty())
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes())
    }

    /// Orders something.
    ///
    /// # Errors
    /// When there is no controller, or it says no.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> anyhow::Result<T> {
        let bytes = Bytes::from(serde_json::to_vec(body)?);
        read(
            self.send(
                Method::POST,
                path,
                Full::new(bytes).map_err(|never| match never {}).boxed(),
            )
            .await?,
        )
        .await
    }

    /// Sends a file.
    ///
    /// # Errors
    /// When the file cannot be read, there is no controller, or it says no.
    pub async fn upload<T: DeserializeOwned>(&self, path: &str, file: &Path) -> anyhow::Result<T> {
        self.upload_all(path, Vec::new(), vec![file.to_owned()])
            .await
    }

    /// Sends bytes, and files behind them.
    ///
    /// # Errors
    /// When a file cannot be read, there is no controller, or it says no.
    pub async fn upload_all<T: DeserializeOwned>(
        &self,
        path: &str,
        head: Vec<u8>,
        files: Vec<PathBuf>,
    ) -> anyhow::Result<T> {
        let mut opened = Vec::new();
        for file in files {
            let reading = || format!("could not read {}", file.display());
            opened.push(tokio::fs::File::open(&file).await.with_context(reading)?);
        }
        let (sender, receiver) = mpsc::channel::<std::io::Result<Frame<Bytes>>>(4);
        let reading = tokio::spawn(async move {
            if !head.is_empty() && sender.send(Ok(Frame::data(head.into()))).await.is_err() {
                return;
            }
            let mut buffer = vec![0; 256 * 1024];
            for mut file in opened {
                loop {
                    let frame = match file.read(&mut buffer).await {
                        Ok(0) => break,
                        Ok(count) => Ok(Frame::data(Bytes::copy_from_slice(&buffer[..count]))),
                        Err(error) => Err(error),
                    };
                    if sender.send(frame).await.is_err() {
                        return;
                    }
                }
            }
        });
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|frame| (frame, receiver))
        });
        let sent = self
            .send(
                Method::POST,
                path,
                http_body_util::BodyExt::boxed(StreamBody::new(stream)),
            )
            .await;
        reading.abort();
        read(sent?).await
    }

    /// Follows a stream of JSON lines.
    ///
    /// # Errors
    /// When there is no controller, or it says no.
    pub async fn lines<T: DeserializeOwned + 'static>(
        &self,
        path: &str,
    ) -> anyhow::Result<impl futures_util::Stream<Item = anyhow::Result<T>> + Unpin> {
        let body = self.send(Method::GET, path, empty()).await?.into_body();
        let chunks = body.into_data_stream();
        let lines = futures_util::stream::unfold(
            (chunks, Vec::new()),
            |(mut chunks, mut rest)| async move {
                loop {
                    if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = rest.drain(..=end).collect();
                        return Some((
                            serde_json::from_slice(&line).map_err(Into::into),
                            (chunks, rest),
                        ));
                    }
                    match chunks.next().await? {
                        Ok(chunk) => rest.extend_from_slice(&chunk),
                        Err(error) => return Some((Err(error.into()), (chunks, rest))),
                    }
                }
            },
        );
        Ok(Box::pin(lines))
    }
}

fn empty() -> Content {
    Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed()
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> anyhow::Result<T> {
    let bytes = response.into_body().collect().await?.to_bytes();
    serde_json::from_slice(&bytes)
        .context("the controller's answer cannot be read; are the versions the same?")
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixListener;

    use super::*;

    /// Whoever waits for a controller to come back tells by this what no waiting brings.
    #[tokio::test]
    async fn what_is_not_there_is_told_by_its_type_and_whatever_else_is_refused_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let answers = [
            ("404 Not Found", "{\"detail\":\"there is no rollout r9\"}"),
            (
                "409 Conflict",
                "{\"detail\":\"there is no rollout r9 to go on with\"}",
            ),
            // A path that it does not have, as one of another release.
            ("404 Not Found", ""),
        ];
        let serving = tokio::spawn(async move {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let client = Client::at(&socket);
        for (missing, words) in [
            (true, "there is no rollout r9"),
            (false, "there is no rollout r9 to go on with"),
            (false, "the controller answered 404"),
        ] {
            let asked = client.get::<serde_json::Value>("/v1/rollouts/r9").await;
            let error = asked.expect_err("it says no");
            assert_eq!(error.is::<Missing>(), missing, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        serving.await.unwrap();
    }
}
