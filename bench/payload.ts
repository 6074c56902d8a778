/**
 * The value of a record under test: enough to find it again and to know whether it is whole, then filling.
 *
 *   0   uint32  CRC-32C of everything behind it
 *   4   uint32  the run, so that what another run wrote is not counted
 *   8   uint16  the producer
 *   10  uint48  sequence number within producer and partition, from 0
 *   16  uint48  when it was to be sent, in microseconds of the monotonic clock that all processes of a machine share
 *   22          filling: random bytes, of which a part repeats itself
 */
import { crc32c } from '../protocol/crc32c.ts'

export const HEADER_BYTES = 22

export interface Stamp {
  readonly runId: number
  readonly producer: number
  readonly sequence: number
  readonly intendedUs: number
}

/** Long enough that no batch holds the same filling twice by chance. */
const POOL_BYTES = 1 << 20
/** What repeats itself repeats within so many bytes: every codec sees that. */
const PERIOD_BYTES = 64

export class Payloads {
  private readonly pool: Buffer

  /** `random` is uniform in [0, 1): the same seed makes the same filling. */
  constructor(compressibility: number, maxBytes: number, random: () => number) {
    const pool = Buffer.allocUnsafe(POOL_BYTES + maxBytes)
    const repeated = Math.round(PERIOD_BYTES * compressibility)
    for (let i = 0; i < pool.length; i++) {
      const isRepeated = i % PERIOD_BYTES < repeated
      pool[i] = isRepeated ? 0x61 + (i % PERIOD_BYTES) : Math.floor(random() * 256)
    }
    this.pool = pool
  }

  make({ runId, producer, sequence, intendedUs }: Stamp, bytes: number): Buffer {
    const value = Buffer.allocUnsafe(bytes)
    value.writeUInt32BE(runId, 4)
    value.writeUInt16BE(producer, 8)
    value.writeUIntBE(sequence, 10, 6)
    value.writeUIntBE(intendedUs, 16, 6)
    // A step that shares no factor with the size of the pool reaches every place of it.
    const from = (sequence * 40_503 + producer * 7_919) % POOL_BYTES
    this.pool.copy(value, HEADER_BYTES, from, from + bytes - HEADER_BYTES)
    value.writeUInt32BE(crc32c(value, 4, bytes), 0)
    return value
  }
}

/** What `make` wrote; null if the value is damaged or was never one. */
export function readStamp(value: Buffer | null): Stamp | null {
  if (value === null || value.length < HEADER_BYTES) return null
  if (crc32c(value, 4, value.length) !== value.readUInt32BE(0)) return null
  return {
    runId: value.readUInt32BE(4),
    producer: value.readUInt16BE(8),
    sequence: value.readUIntBE(10, 6),
    intendedUs: value.readUIntBE(16, 6),
  }
}
