//! An error in one line, as it travels and as people read it: libraries often say in an error what its cause says again.

use std::error::Error;

/// An error with its causes, in one line. A cause that was said already is not said twice.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Wrong {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn wrong(texts: &[&'static str]) -> Wrong {
        let source = (texts.len() > 1).then(|| Box::new(wrong(&texts[1..])));
        Wrong {
            text: texts[0],
            source,
        }
    }

    #[test]
    fn each_cause_is_said_once() {
        for (texts, told) in [
            (&["no answer"][..], "no answer"),
            (&["no answer", "timed out"], "no answer: timed out"),
            (
                &["no answer: timed out", "timed out", "os error 60"],
                "no answer: timed out: os error 60",
            ),
            (&["refused", "refused"], "refused"),
        ] {
            assert_eq!(causes(&wrong(texts)), told);
        }
    }
}
