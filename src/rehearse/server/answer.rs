//! An answer, and how it goes out.

use std::convert::Infallible;

use futures_util::StreamExt;
use http::{HeaderValue, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::Value;

use super::watch::Watch;
use crate::rehearse::status::Refused;

/// The body of an answer; its error is a connection that breaks.
pub type AnswerBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// What is answered.
pub(super) enum Answer {
    /// JSON, whole.
    Json {
        /// The HTTP code.
        code: u16,
        /// The body.
        body: Vec<u8>,
        /// `Warning` headers, without the code and the quotes.
        warnings: Vec<String>,
    },
    /// A word, as plain text.
    Text(&'static str),
    /// The events of a watch.
    Watch(Box<Watch>),
}

impl Answer {
    /// JSON with code 200.
    pub(super) fn json(body: Vec<u8>) -> Self {
        Self::Json { code: 200, body, warnings: Vec::new() }
    }

    /// A value with code 200.
    pub(super) fn value(value: &Value) -> Self {
        Self::json(value.to_string().into_bytes())
    }

    /// With another code.
    pub(super) fn code(self, code: u16) -> Self {
        match self {
            Self::Json { body, warnings, .. } => Self::Json { code, body, warnings },
            other => other,
        }
    }

    /// With warnings.
    pub(super) fn warn(self, more: Vec<String>) -> Self {
        match self {
            Self::Json { code, body, mut warnings } => {
                warnings.extend(more);
                Self::Json { code, body, warnings }
            }
            other => other,
        }
    }

    pub(super) fn into_response(self) -> Response<AnswerBody> {
        match self {
            Self::Json { code, body, warnings } => {
                let mut response = plain(code, body, "application/json");
                for warning in warnings {
                    let text = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
                    if let Ok(value) = HeaderValue::from_str(&text) {
                        response.headers_mut().append(header::WARNING, value);
                    }
                }
                response
            }
            Self::Text(text) => plain(200, text.as_bytes().to_vec(), "text/plain; charset=utf-8"),
            Self::Watch(watch) => {
                let frames = watch.into_stream().map(|chunk| chunk.map(|chunk| Frame::data(Bytes::from(chunk))));
                let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
        }
    }
}

/// A refusal as it goes out.
pub(super) fn refusal(refused: &Refused) -> Response<AnswerBody> {
    let mut response = plain(refused.code, refused.body().to_string().into_bytes(), "application/json");
    if let Some(seconds) = refused.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn plain(code: u16, body: Vec<u8>, content: &'static str) -> Response<AnswerBody> {
    let never = |never: Infallible| match never {};
    let mut response = Response::new(Full::from(body).map_err(never).boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    response
}
