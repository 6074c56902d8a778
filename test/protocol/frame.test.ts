/** Frames: cut out of any stream, however the reads fall, with nothing copied that need not be and nothing unbounded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { apis } from '../../protocol/apis.ts'
import { Reader, Writer } from '../../protocol/buffer.ts'
import { BufferPool } from '../../protocol/buffer-pool.ts'
import {
  beginRequest,
  beginResponse,
  endFrame,
  FrameDecoder,
  frameWriter,
  hasResponseTags,
  readRequestHeader,
  skipTags,
} from '../../protocol/frame.ts'

/** Collects copies of the frames it is given; refuses buffers and stops on demand. */
class Owner {
  readonly frames: Buffer[] = []
  readonly held = new Set<Buffer>()
  unreadableReason: string | null = null
  canAcquire = true
  stopAfter = Number.POSITIVE_INFINITY

  frame(buffer: Buffer, start: number, end: number): boolean {
    this.frames.push(Buffer.from(buffer.subarray(start, end)))
    return this.frames.length < this.stopAfter
  }

  acquire(size: number): Buffer | null {
    if (!this.canAcquire) return null
    const buffer = Buffer.alloc(size + 7)
    this.held.add(buffer)
    return buffer
  }

  release(buffer: Buffer): void {
    assert(this.held.delete(buffer), 'released something that was not acquired')
  }

  unreadable(reason: string): void {
    this.unreadableReason = reason
  }
}

function streamOf(frames: readonly Buffer[]): Buffer {
  return Buffer.concat(
    frames.map(frame => {
      const framed = Buffer.alloc(4 + frame.length)
      framed.writeInt32BE(frame.length)
      frame.copy(framed, 4)
      return framed
    }),
  )
}

/** Feeds bytes as a network would: into the buffer asked for, or (`ownBuffers`) wherever the network likes. */
function feed(
  decoder: FrameDecoder,
  bytes: Buffer,
  sizes: () => number,
  ownBuffers: boolean,
): void {
  for (let at = 0; at < bytes.length; ) {
    const into = decoder.buffer()
    const count = Math.min(sizes(), bytes.length - at, into.length)
    const target = ownBuffers ? Buffer.alloc(count) : into
    bytes.copy(target, 0, at, at + count)
    at += count
    if (!decoder.received(target, count)) while (!decoder.resume()) assert.fail('stopped for good')
  }
}

test('frames come out whole and in order however the reads fall', () => {
  const property = fc.property(
    fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }),
    fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 }),
    fc.boolean(),
    (arrays, sizes, ownBuffers) => {
      const frames = arrays.map(bytes => Buffer.from(bytes))
      const owner = new Owner()
      const decoder = new FrameDecoder(Buffer.alloc(64), 300, owner)
      let turn = 0
      feed(decoder, streamOf(frames), () => sizes[turn++ % sizes.length]!, ownBuffers)
      assert.deepEqual(owner.frames, frames)
      assert.equal(owner.held.size, 0)
      assert.equal(decoder.isInsideFrame, false)
    },
  )
  fc.assert(property, { verbose: 1 })
})

test('a frame at the limit is taken, one byte more ends the stream', () => {
  const owner = new Owner()
  const decoder = new FrameDecoder(Buffer.alloc(64), 100, owner)
  const atLimit = streamOf([Buffer.alloc(100, 1)])
  feed(decoder, atLimit, () => 64, false)
  assert.equal(owner.frames.length, 1)
  const beyond = Buffer.alloc(4)
  beyond.writeInt32BE(101)
  assert.equal(decoder.received(beyond, 4), false)
  assert.match(owner.unreadableReason!, /101 bytes.*limit is 100.*socket\.request\.max\.bytes/)
  assert.equal(decoder.received(beyond, 4), false, 'nothing more is decoded')
})

test('a negative length ends the stream', () => {
  const owner = new Owner()
  const decoder = new FrameDecoder(Buffer.alloc(64), 100, owner)
  decoder.received(Buffer.from([0xff, 0xff, 0xff, 0xff]), 4)
  assert.match(owner.unreadableReason!, /-1 bytes/)
})

test('an owner who says stop gets no frame until resume, and loses none', () => {
  const owner = new Owner()
  owner.stopAfter = 1
  const decoder = new FrameDecoder(Buffer.alloc(64), 100, owner)
  const stream = streamOf([Buffer.from('a'), Buffer.from('b'), Buffer.from('c')])
  assert.equal(decoder.received(stream, stream.length), false)
  assert.deepEqual(owner.frames.map(String), ['a'])
  owner.stopAfter = 3
  assert.equal(decoder.resume(), false)
  assert.deepEqual(owner.frames.map(String), ['a', 'b', 'c'])
  owner.stopAfter = Number.POSITIVE_INFINITY
  assert.equal(decoder.resume(), true)
})

test('without a buffer for a large frame reading stops, and goes on with resume', () => {
  const owner = new Owner()
  owner.canAcquire = false
  const decoder = new FrameDecoder(Buffer.alloc(64), 1000, owner)
  const stream = streamOf([Buffer.alloc(500, 7)])
  assert.equal(decoder.received(stream.subarray(0, 60), 60), false)
  assert.equal(decoder.resume(), false, 'still no buffer')
  owner.canAcquire = true
  assert.equal(decoder.resume(), true)
  feed(decoder, stream.subarray(60), () => 64, false)
  assert.deepEqual(owner.frames, [Buffer.alloc(500, 7)])
})

test('close gives back the buffer of a frame under way', () => {
  const owner = new Owner()
  const decoder = new FrameDecoder(Buffer.alloc(64), 1000, owner)
  const stream = streamOf([Buffer.alloc(500)])
  decoder.received(stream, 64)
  assert.equal(owner.held.size, 1)
  decoder.close()
  assert.equal(owner.held.size, 0)
})

test('request headers read as they were written, with and without a client id', () => {
  for (const [version, clientId] of [
    [0, 'älter'],
    [3, null],
    [4, 'new'],
  ] as const) {
    const writer = new Writer()
    const start = beginRequest(writer, apis.ApiVersions, version, 42, clientId)
    endFrame(writer, start, 0)
    const reader = new Reader(writer.bytes(), 4)
    const header = readRequestHeader(reader)
    assert.deepEqual(header, { apiKey: 18, apiVersion: version, correlationId: 42, clientId })
    if (version >= 3) skipTags(reader)
    assert.equal(reader.remaining, 0)
    assert.equal(writer.bytes().readInt32BE(0), writer.position - 4)
  }
})

test('only ApiVersions has no tags in the response header of its flexible versions', () => {
  assert.equal(hasResponseTags(apis.ApiVersions, 4), false)
  assert.equal(hasResponseTags(apis.Produce, 8), false)
  assert.equal(hasResponseTags(apis.Produce, 9), true)
})

test('large byte fields are gathered, not copied, and count in the length of the frame', () => {
  const large = Buffer.alloc(5000, 5)
  const writer = frameWriter(16)
  for (const correlationId of [1, 2]) {
    const before = writer.gatheredBytes
    const start = beginResponse(writer, apis.Produce, 8, correlationId)
    writer.raw(large)
    writer.int16(7)
    endFrame(writer, start, before)
  }
  const chunks = writer.chunks()
  assert.equal(chunks[1], large, 'the same buffer')
  const sent = Buffer.concat(chunks)
  assert.equal(sent.readInt32BE(0), 4 + 5000 + 2)
  assert.equal(sent.readInt32BE(4), 1)
  assert.equal(sent.readInt32BE(4 + 4 + 5000 + 2 + 4), 2)
  assert.equal(sent.length, 2 * (4 + 4 + 5000 + 2))
})

test('a pool hands the same buffer out again and keeps no more idle bytes than it may', () => {
  const pool = new BufferPool(16384)
  const first = pool.acquire(5000)
  assert.equal(first.length, 8192)
  pool.release(first)
  assert.equal(pool.acquire(8192), first)
  const others = [pool.acquire(8192), pool.acquire(8192)]
  pool.release(first)
  for (const other of others) pool.release(other)
  const again = new Set([pool.acquire(8192), pool.acquire(8192), pool.acquire(8192)])
  assert.equal([first, ...others].filter(buffer => again.has(buffer)).length, 2)
  const huge = pool.acquire(5 * 1024 * 1024)
  assert.equal(huge.length, 5 * 1024 * 1024, 'made to measure')
  pool.release(huge)
  assert.notEqual(pool.acquire(5 * 1024 * 1024), huge)
})
