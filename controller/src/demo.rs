//! demo
#![expect(missing_docs, reason = "x")]
#[derive(Debug)]
pub struct Options {
    pub json: bool,
    pub keep: bool,
    pub fault: bool,
}
pub async fn run(_: Options) -> anyhow::Result<u8> {
    Ok(0)
}
