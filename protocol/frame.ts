/**
 * Frames and headers.
 *
 *   frame     int32 length | header | body
 *   request   int16 apiKey | int16 apiVersion | int32 correlationId | nullable string clientId | tags (flexible versions)
 *   response  int32 correlationId | tags (flexible versions, never ApiVersions)
 *
 * The client id is a plain string even in flexible versions, and the response to ApiVersions has no tags in any version,
 * so that both sides can read each other before they know which versions they share.
 *
 * `FrameDecoder` turns reads into frames without copying: small frames are handed over as views of the parse buffer that
 * all connections share and are valid only during the call; a frame that does not end inside one read is received
 * straight into a buffer of its own, which the decoder releases after the call.
 */
import { MalformedError, type Reader, Writer } from './buffer.ts'
import { type Api, isFlexible } from './schema.ts'

export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
}

/** Reads up to and including the client id; `skipTags` follows where the version is flexible. */
export function readRequestHeader(reader: Reader): RequestHeader {
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  const length = reader.int16()
  if (length < -1) throw new MalformedError(`client id of length ${length}`)
  return { apiKey, apiVersion, correlationId, clientId: length < 0 ? null : reader.text(length) }
}

/** Passes over a section of tagged fields. */
export function skipTags(reader: Reader): void {
  const count = reader.uvarint()
  for (let i = 0; i < count; i++) {
    reader.uvarint()
    reader.skip(reader.uvarint())
  }
}

/** Starts a request frame; returns where it starts, for `endFrame`. */
export function beginRequest(
  writer: Writer,
  api: Api,
  version: number,
  correlationId: number,
  clientId: string | null,
): number {
  const start = writer.reserve(4)
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(correlationId)
  if (clientId === null) writer.int16(-1)
  else {
    writer.int16(Buffer.byteLength(clientId))
    writer.text(clientId)
  }
  if (isFlexible(api, version)) writer.uvarint(0)
  return start
}

/** Starts a response frame; returns where it starts, for `endFrame`. */
export function beginResponse(
  writer: Writer,
  api: Api,
  version: number,
  correlationId: number,
): number {
  const start = writer.reserve(4)
  writer.int32(correlationId)
  if (hasResponseTags(api, version)) writer.uvarint(0)
  return start
}

/** Whether the response header of this version ends with a section of tags. */
export function hasResponseTags(api: Api, version: number): boolean {
  return isFlexible(api, version) && api.name !== 'ApiVersions'
}

/** Writes the frame's length, now that it is known: all that `writer` got since `start`. */
export function endFrame(writer: Writer, start: number, gatheredBefore: number): void {
  const length = writer.position - start - 4 + (writer.gatheredBytes - gatheredBefore)
  writer.buffer.writeInt32BE(length, start)
}

export interface FrameOwner {
  /** A whole frame without its length, in `buffer` from `start` to `end`; valid during the call. False: hand over no more until `resume`. */
  frame(buffer: Buffer, start: number, end: number): boolean
  /** A buffer of at least `size` bytes for a large frame, or null: then `resume` is called once there is room. */
  acquire(size: number): Buffer | null
  release(buffer: Buffer): void
  /** The peer does not speak this protocol, or sends more than the limit; nothing more is decoded. */
  unreadable(reason: string): void
}

export class FrameDecoder {
  private readonly shared: Buffer
  private readonly maxFrameBytes: number
  private readonly owner: FrameOwner
  /** The frame under way that did not end inside one read. */
  private large: Buffer | null = null
  private largeSize = 0
  private filled = 0
  /** Bytes read but not decoded: a cut length, or everything since the owner asked to stop. */
  private rest: Buffer | null = null
  private stopped = false
  private dead = false

  /** `shared` may serve any number of decoders: it holds nothing between two reads. */
  constructor(shared: Buffer, maxFrameBytes: number, owner: FrameOwner) {
    this.shared = shared
    this.maxFrameBytes = maxFrameBytes
    this.owner = owner
  }

  /** Whether a frame has begun and not ended. */
  get isInsideFrame(): boolean {
    return this.large !== null || this.rest !== null
  }

  /** Where the next read goes. */
  buffer(): Buffer {
    if (this.large !== null) return this.large.subarray(this.filled, this.largeSize)
    return this.shared
  }

  /** The next `count` bytes of the stream lie in `source`. Returns false when reading should stop until `resume`. */
  received(source: Buffer, count: number): boolean {
    if (this.dead) return false
    if (this.large !== null && isAt(source, this.large, this.filled)) {
      this.filled += count
      if (this.filled === this.largeSize) this.endLarge()
    } else if (this.rest !== null) {
      const joined = Buffer.concat([this.rest, source.subarray(0, count)])
      this.rest = null
      this.decode(joined, joined.length)
    } else this.decode(source, count)
    return !this.stopped && !this.dead
  }

  /** Goes on after a stop. Returns true when reading may go on, false when it stopped again. */
  resume(): boolean {
    if (this.dead) return false
    this.stopped = false
    if (this.rest !== null) {
      const rest = this.rest
      this.rest = null
      this.decode(rest, rest.length)
    }
    return !this.stopped && !this.dead
  }

  /** The connection is gone: gives back what is held. */
  close(): void {
    this.dead = true
    this.rest = null
    if (this.large !== null) this.owner.release(this.large)
    this.large = null
  }

  private endLarge(): void {
    const frame = this.large!
    this.large = null
    const goOn = this.owner.frame(frame, 0, this.largeSize)
    this.owner.release(frame)
    if (!goOn) this.stopped = true
  }

  /** Decodes `buffer` from 0 to `end`; leaves in `rest` what is no whole frame. */
  private decode(buffer: Buffer, end: number): void {
    let position = this.large === null ? 0 : this.fillLarge(buffer, end)
    while (!this.stopped && !this.dead && end - position >= 4) {
      const size = buffer.readInt32BE(position)
      if (size < 0 || size > this.maxFrameBytes) {
        this.dead = true
        return this.owner.unreadable(
          `a frame of ${size} bytes; the limit is ${this.maxFrameBytes} (socket.request.max.bytes)`,
        )
      }
      const start = position + 4
      if (size <= end - start) {
        position = start + size
        if (!this.owner.frame(buffer, start, position)) this.stopped = true
      } else if (this.beginLarge(buffer, start, end, size)) return
      else this.stopped = true
    }
    // A copy: the shared buffer is overwritten by the next connection's read.
    if (position < end && !this.dead) this.rest = Buffer.from(buffer.subarray(position, end))
  }

  /** Copies what belongs to the large frame under way; returns how many bytes that took. */
  private fillLarge(buffer: Buffer, end: number): number {
    const took = buffer.copy(
      this.large!,
      this.filled,
      0,
      Math.min(end, this.largeSize - this.filled),
    )
    this.filled += took
    if (this.filled === this.largeSize) this.endLarge()
    return took
  }

  private beginLarge(buffer: Buffer, start: number, end: number, size: number): boolean {
    const large = this.owner.acquire(size)
    if (large === null) return false
    this.filled = buffer.copy(large, 0, start, end)
    this.large = large
    this.largeSize = size
    return true
  }
}

/** Whether `view` starts `offset` bytes into `whole`. */
function isAt(view: Buffer, whole: Buffer, offset: number): boolean {
  return view.buffer === whole.buffer && view.byteOffset === whole.byteOffset + offset
}

/** A writer for outgoing frames: large byte fields are sent from where they lie instead of being copied. */
export function frameWriter(capacity: number): Writer {
  return new Writer(capacity, true)
}
