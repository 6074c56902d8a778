/**
 * `.ottla-clean-segments`: what a clean stop knew of the newest segment of each log, so that the next start need not read
 * it. It is believed only together with the clean-shutdown mark, and of a log only if the file has the size and the time of
 * modification that are noted: whoever wrote to it in between, a Kafka or a person, is noticed. The start removes it.
 *
 *   0                                    version
 *   1f3c5a70                             CRC-32C of the lines below, in hexadecimal
 *   orders 0 1130 4096 1764… 1180 …      topic, partition, and the fields of `CleanSegment` in their order
 */
import { MalformedError } from '../protocol/buffer.ts'
import { crc32c } from '../protocol/crc32c.ts'
import type { Disk } from './disk.ts'
import type { StoreLog } from './log-options.ts'

export const CLEAN_SEGMENTS = '.ottla-clean-segments'

/** A segment that is closed and will be gone on with. */
export interface CleanSegment {
  readonly baseOffset: number
  /** Of the log file. */
  readonly size: number
  readonly modifiedMs: number
  readonly endOffset: number
  readonly firstTimestamp: number
  readonly greatestTimestamp: number
  readonly offsetOfGreatest: number
  readonly bytesSinceEntry: number
}

/** By the name of the log's directory. */
export type CleanSegments = Map<string, CleanSegment>

export function encodeCleanSegments(segments: CleanSegments): Buffer {
  let lines = ''
  for (const [name, each] of segments) {
    const dash = name.lastIndexOf('-')
    const place = [each.baseOffset, each.size, each.modifiedMs, each.endOffset]
    const times = [each.firstTimestamp, each.greatestTimestamp, each.offsetOfGreatest]
    const fields = [...place, ...times, each.bytesSinceEntry]
    lines += `${name.slice(0, dash)} ${name.slice(dash + 1)} ${fields.join(' ')}\n`
  }
  return Buffer.from(`0\n${checksum(lines)}\n${lines}`)
}

/** Throws MalformedError where the bytes are not what was written. */
export function parseCleanSegments(bytes: Buffer): CleanSegments {
  const text = bytes.toString('utf8')
  const [head, version, crc] = /^(.*)\n(.*)\n/.exec(text) ?? []
  if (head === undefined || version !== '0') throw new MalformedError('clean segments: no version')
  const lines = text.slice(head.length)
  if (crc !== checksum(lines)) throw new MalformedError('clean segments: checksum')
  const segments: CleanSegments = new Map()
  for (const line of lines.split('\n')) {
    if (line === '') continue
    const [topic, partition, ...numbers] = line.split(' ')
    const [baseOffset, size, modifiedMs, endOffset, ...rest] = numbers.map(Number)
    const [firstTimestamp, greatestTimestamp, offsetOfGreatest, bytesSinceEntry] = rest
    segments.set(`${topic}-${partition}`, {
      ...{ baseOffset: baseOffset!, size: size!, modifiedMs: modifiedMs!, endOffset: endOffset! },
      firstTimestamp: firstTimestamp!,
      greatestTimestamp: greatestTimestamp!,
      offsetOfGreatest: offsetOfGreatest!,
      bytesSinceEntry: bytesSinceEntry!,
    })
  }
  return segments
}

/** What the clean stop noted; nothing where it did not, or the file cannot be read. */
export function readCleanSegments(disk: Disk, path: string, log?: StoreLog): CleanSegments {
  const bytes = disk.readFileSync(`${path}/${CLEAN_SEGMENTS}`)
  if (bytes === null) return new Map()
  try {
    return parseCleanSegments(bytes)
  } catch (error) {
    const fields = { name: CLEAN_SEGMENTS, error: String(error) }
    log?.warn('file unreadable, segments are looked at instead', fields)
    return new Map()
  }
}

function checksum(lines: string): string {
  const bytes = Buffer.from(lines)
  return (crc32c(bytes, 0, bytes.length) >>> 0).toString(16).padStart(8, '0')
}
