//! Zstandard frames, by contexts that are used again.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{compress_bound, find_frame_compressed_size, get_frame_content_size};

use super::claimed;

/// A block is at least four bytes long, or empty, and holds at most 128 KiB.
const LEAST_BLOCK: usize = 4;
const MOST_CONTENT: usize = 128 << 10;

/// Contexts at rest. A fresh one costs three times what a small value does, and each keeps some hundred
/// kilobytes, so there are as many as are used at a time.
#[derive(Default)]
pub(super) struct Contexts {
    compressors: Pool<Compressor<'static>>,
    decompressors: Pool<Decompressor<'static>>,
}

impl Contexts {
    /// Header and frame. All calls pass the same level.
    pub(super) fn compress(&self, plain: &[u8], level: i32) -> Result<Vec<u8>, String> {
        let mut compressor = match self.compressors.take() {
            Some(used) => used,
            None => Compressor::new(level).map_err(text)?,
        };
        let mut out = vec![0; 1 + compress_bound(plain.len())];
        out[0] = super::ZSTD;
        let written = compressor.compress_to_buffer(plain, &mut out[1..]);
        out.truncate(1 + written.map_err(text)?);
        // One that failed is dropped instead.
        self.compressors.put(compressor);
        Ok(out)
    }

    /// What follows the header byte.
    pub(super) fn decompress(&self, frame: &[u8], max_decoded: usize) -> Result<Vec<u8>, String> {
        let Ok(Some(length)) = get_frame_content_size(frame) else {
            return Err("no Zstandard frame with its content's size".to_owned());
        };
        let most = (frame.len() / LEAST_BLOCK).saturating_mul(MOST_CONTENT);
        let length = claimed(length, most, max_decoded)?;
        if find_frame_compressed_size(frame) != Ok(frame.len()) {
            return Err("not one whole frame".to_owned());
        }
        let mut decompressor = match self.decompressors.take() {
            Some(used) => used,
            None => Decompressor::new().map_err(text)?,
        };
        let mut plain = Vec::with_capacity(length);
        // In one go, so that the frame's window is this very buffer: none of its claimed size is made.
        let written = decompressor
            .decompress_to_buffer(frame, &mut plain)
            .map_err(text)?;
        self.decompressors.put(decompressor);
        if written != length {
            return Err(format!("{written} bytes instead of {length}"));
        }
        Ok(plain)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts").finish_non_exhaustive()
    }
}

/// zstd's messages are fixed texts.
#[allow(clippy::needless_pass_by_value)] // For map_err.
fn text(error: std::io::Error) -> String {
    error.to_string()
}

struct Pool<X>(Mutex<Vec<X>>);

impl<X> Pool<X> {
    /// More threads than this at a time make contexts of their own: 64 of them.
    const MOST: usize = 64;

    fn take(&self) -> Option<X> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, context: X) {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.len() < Self::MOST {
            resting.push(context);
        }
    }
}

impl<X> Default for Pool<X> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
