//! LZ4 blocks with their length before them.

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use super::claimed;

/// No LZ4 block grows more: 255 bytes for each byte of a run's length.
const MOST_RATIO: usize = 255;
const LENGTH: usize = 4;

/// Header and block.
pub(super) fn compress(plain: &[u8]) -> Result<Vec<u8>, String> {
    let length = u32::try_from(plain.len()).map_err(|_| "too long for LZ4".to_owned())?;
    let start = 1 + LENGTH;
    let mut out = vec![0; start + get_maximum_output_size(plain.len())];
    out[0] = super::LZ4;
    out[1..start].copy_from_slice(&length.to_le_bytes());
    let written = compress_into(plain, &mut out[start..]).map_err(|e| e.to_string())?;
    out.truncate(start + written);
    Ok(out)
}

/// What follows the header byte.
pub(super) fn decompress(bytes: &[u8], max_decoded: usize) -> Result<Vec<u8>, String> {
    let Some((length, block)) = bytes.split_first_chunk::<LENGTH>() else {
        return Err("the bytes end too early".to_owned());
    };
    let most = block.len().saturating_mul(MOST_RATIO);
    let length = claimed(u32::from_le_bytes(*length).into(), most, max_decoded)?;
    let mut plain = vec![0; length];
    // Its messages speak of lengths and offsets, and quote nothing.
    match decompress_into(block, &mut plain) {
        Ok(written) if written == length => Ok(plain),
        Ok(written) => Err(format!("{written} bytes instead of {length}")),
        Err(error) => Err(error.to_string()),
    }
}
