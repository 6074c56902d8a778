/**
 * Reads a closed segment from front to end, whole batches in large windows: for work that needs the records and not only
 * the headers (batch-walker.ts).
 */
import { ProtocolError } from '../protocol/errors.ts'
import * as batches from '../protocol/record-batch.ts'
import type { Disk } from './disk.ts'

const LEAST_WINDOW_BYTES = 64 * 1024

export interface BatchReader {
  readonly disk: Disk
  readonly windowBytes: number
  /** Called with the bytes that were read; may take its time. */
  pace(bytes: number): void | Promise<void>
}

/** Sees a whole batch at `at`. Answers false to stop. The buffer is used again once it has answered. */
export type WholeBatchVisitor = (b: Buffer, at: number) => boolean | Promise<boolean>

/** Answers whether the end was reached. Rejects with CORRUPT_MESSAGE where something stands that is no batch. */
export async function readBatches(
  reader: BatchReader,
  segment: { readonly size: number },
  path: string,
  visit: WholeBatchVisitor,
): Promise<boolean> {
  const file = await reader.disk.open(`${path}.log`)
  try {
    let window = Buffer.allocUnsafe(
      Math.max(LEAST_WINDOW_BYTES, Math.min(reader.windowBytes, segment.size)),
    )
    let position = 0
    while (position < segment.size) {
      const wanted = Math.min(window.length, segment.size - position)
      const filled = await file.read(position, window.subarray(0, wanted))
      await reader.pace(filled)
      let at = 0
      while (filled - at >= batches.RECORD_BATCH_OVERHEAD) {
        const size = batches.sizeInBytes(window, at)
        checkHeader(window, at, size, segment.size - position - at, `${path}.log`, position + at)
        if (size > filled - at) break
        const more = visit(window, at)
        if ((typeof more === 'boolean' ? more : await more) === false) return false
        at += size
      }
      if (at === 0) {
        // The batch is larger than the window, and its size is known to be possible.
        const size = filled < batches.RECORD_BATCH_OVERHEAD ? 0 : batches.sizeInBytes(window, 0)
        if (size <= filled) throw damaged(`${path}.log`, position, 'cut short')
        window = Buffer.allocUnsafe(size)
      }
      position += at
    }
    return true
  } finally {
    await file.close()
  }
}

function checkHeader(
  b: Buffer,
  at: number,
  size: number,
  left: number,
  path: string,
  position: number,
): void {
  if (batches.magic(b, at) !== batches.CURRENT_MAGIC) {
    throw damaged(path, position, `magic ${batches.magic(b, at)}`)
  }
  if (size < batches.RECORD_BATCH_OVERHEAD || size > left) {
    throw damaged(path, position, `batch of ${size} bytes, ${left} left`)
  }
}

function damaged(path: string, position: number, why: string): ProtocolError {
  return new ProtocolError('CORRUPT_MESSAGE', `${path} at ${position}: ${why}`)
}
