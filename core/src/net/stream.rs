//! One stream: a reader and a writer that carry bytes to and from the clerk, at the same time.

use super::clerk::{Clerk, PIECE_BYTES};
use crate::sync::Side;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};

/// Pieces that may wait for the session.
const PIECES_IN: usize = 4;
/// Pieces that may wait for the stream.
const PIECES_OUT: usize = 8;
/// How long a stream may take no byte of a piece.
const STUCK: Duration = Duration::from_secs(90);

/// Carries a session over a stream until it is over.
pub(super) async fn carry<R, W>(clerk: &Clerk, side: Side, stay: bool, from: String, mut reader: R, mut writer: W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (out, mut pieces) = mpsc::channel::<Vec<u8>>(PIECES_OUT);
    let seat = clerk.open(side, stay, from, out);
    let places = Arc::new(Semaphore::new(PIECES_IN));
    let read = async {
        while let Ok(permit) = Arc::clone(&places).acquire_owned().await {
            let mut bytes = vec![0; PIECE_BYTES];
            match reader.read(&mut bytes).await {
                Ok(count) if count > 0 => {
                    bytes.truncate(count);
                    clerk.bytes(seat, bytes, permit);
                }
                Ok(_) | Err(_) => break,
            }
        }
        clerk.gone(seat);
        // The writer ends when the clerk has given its last piece.
        std::future::pending::<()>().await;
    };
    let write = async {
        while let Some(piece) = pieces.recv().await {
            clerk.room();
            let written = tokio::time::timeout(STUCK, async {
                writer.write_all(&piece).await?;
                if pieces.is_empty() { writer.flush().await } else { Ok(()) }
            });
            if !matches!(written.await, Ok(Ok(()))) {
                break;
            }
        }
        // What cannot be shut down is gone already.
        let _ = tokio::time::timeout(STUCK, writer.shutdown()).await;
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    clerk.gone(seat);
}
