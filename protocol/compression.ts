/**
 * The codecs of a record batch: the records section is compressed as one piece.
 *
 *   0 none
 *   1 gzip    a gzip stream, of one member or several
 *   2 snappy  raw, or in xerial framing (read by its magic; written, because that is what Java writes):
 *               82 'SNAPPY' 00 | version 4 | compatible version 4 | blocks: size 4, raw snappy of at most 32 KiB
 *   3 lz4     one frame with independent blocks
 *   4 zstd    a zstd frame
 *
 * Decompression never gives more than the caller allows, and knows it before it allocates. What it cannot read throws
 * MalformedError; what would be too large throws ProtocolError MESSAGE_TOO_LARGE (upon which a Java producer splits
 * its batch). Nothing else is thrown, except UNSUPPORTED_COMPRESSION_TYPE where native code does not load.
 *
 * Everything is synchronous apart from zstd on a Node without zstd in `node:zlib` (before 22.15): there the functions
 * return a promise, and the bytes handed in are copied first. Native code is loaded when first needed.
 */
import { createRequire } from 'node:module'
import zlib from 'node:zlib'
import { MalformedError } from './buffer.ts'
import { lz4Size, snappySize, type ZstdFrame, zstdFrame } from './decompressed-size.ts'
import { ProtocolError } from './errors.ts'
import { unpackLz4 } from './lz4.ts'

export const codecs = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const
export type CodecName = keyof typeof codecs

/** What `node:zlib` has from 22.15 on; the types of Node 20 do not know it. */
interface ZlibWithZstd {
  zstdCompressSync?: (bytes: Buffer, options: { params: Record<number, number> }) => Buffer
  zstdDecompressSync?: (bytes: Buffer, options: { maxOutputLength: number }) => Buffer
}
/** ZSTD_c_compressionLevel of libzstd's interface. */
const ZSTD_LEVEL_PARAMETER = 100
const ZSTD_DEFAULT_LEVEL = 3
const ZSTD_FRAMES_MAX = 1000
// Not the package's main file: that one leaves the level out (version 1.2.2, to which package.json pins it).
const ZSTD_NATIVE = '@mongodb-js/zstd/bindings.js'

interface Snappy {
  compressSync(bytes: Buffer): Buffer
  uncompressSync(bytes: Buffer, options: { asBuffer: true }): Buffer
}
interface Lz4 {
  compressFrameSync(bytes: Buffer): Buffer
  decompressFrameSync(bytes: Buffer): Buffer
}
interface Zstd {
  compress(bytes: Buffer, level: number): Promise<Buffer>
  decompress(bytes: Buffer): Promise<Buffer>
}

const nodeZlib = zlib as typeof zlib & ZlibWithZstd
const require = createRequire(import.meta.url)
const loaded = new Map<string, unknown>()

function native<T>(name: string): T {
  let module = loaded.get(name)
  if (module === undefined) {
    try {
      module = require(name)
    } catch (cause) {
      const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0]
      const wanted = name.replace(/\/bindings\.js$/, '')
      throw new ProtocolError(
        'UNSUPPORTED_COMPRESSION_TYPE',
        `this codec needs the package ${wanted}, which cannot be loaded (${reason}): npm install ${wanted}`,
      )
    }
    loaded.set(name, module)
  }
  return module as T
}

/** Name of a codec number; undefined for 5 to 7, which mean nothing. */
export function codecName(codec: number): CodecName | undefined {
  return (['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)[codec]
}

/** Whether `compress` and `decompress` return a promise for this codec on this Node. */
export function isAsynchronous(codec: number): boolean {
  return codec === codecs.zstd && nodeZlib.zstdDecompressSync === undefined
}

/**
 * Compresses with the level of the codec's own scale: gzip 1 to 9 (-1: default), zstd -131072 to 22. snappy has no
 * levels, and lz4's are accepted without effect (the library compresses with one).
 */
export function compress(codec: number, bytes: Buffer, level?: number): Buffer | Promise<Buffer> {
  switch (codec) {
    case codecs.none:
      return bytes
    case codecs.gzip:
      return zlib.gzipSync(bytes, { level: level ?? zlib.constants.Z_DEFAULT_COMPRESSION })
    case codecs.snappy:
      return compressXerial(bytes)
    case codecs.lz4:
      return native<Lz4>('lz4-napi').compressFrameSync(bytes)
    case codecs.zstd:
      return compressZstd(bytes, level ?? ZSTD_DEFAULT_LEVEL)
    default:
      throw unknownCodec(codec)
  }
}

/**
 * The plain bytes, at most `maxOutputBytes` of them. See the top of the file for what is thrown. With
 * `isTransient` they may lie in memory that the next such call uses again.
 */
export function decompress(
  codec: number,
  bytes: Buffer,
  maxOutputBytes: number,
  isTransient = false,
): Buffer | Promise<Buffer> {
  switch (codec) {
    case codecs.none:
      checkSize(bytes.length, maxOutputBytes)
      return bytes
    case codecs.gzip:
      return guard('gzip', maxOutputBytes, () =>
        zlib.gunzipSync(bytes, { maxOutputLength: zlibLimit(maxOutputBytes) }),
      )
    case codecs.snappy:
      return decompressSnappy(bytes, maxOutputBytes)
    case codecs.lz4: {
      checkSize(lz4Size(bytes, maxOutputBytes), maxOutputBytes)
      if (isTransient) {
        const plain = unpackLz4(bytes)
        if (plain !== null) return plain
      }
      const lz4 = native<Lz4>('lz4-napi')
      return guard('lz4', maxOutputBytes, () => lz4.decompressFrameSync(bytes))
    }
    case codecs.zstd:
      return decompressZstd(bytes, maxOutputBytes)
    default:
      throw unknownCodec(codec)
  }
}

function unknownCodec(codec: number): ProtocolError {
  return new ProtocolError('UNSUPPORTED_COMPRESSION_TYPE', `there is no codec ${codec}`)
}

function checkSize(size: number, limit: number): void {
  if (size > limit) throw tooLarge(limit)
}

function tooLarge(limit: number): ProtocolError {
  return new ProtocolError(
    'MESSAGE_TOO_LARGE',
    `the batch takes more than ${limit} bytes when decompressed`,
  )
}

/** zlib wants a limit of at least 1 and at most what a buffer can hold. */
function zlibLimit(limit: number): number {
  return Math.max(1, Math.min(limit, 2 ** 31 - 1))
}

/** Runs a decompressor and turns whatever it throws into our own words; checks what it gave. */
function guard(name: CodecName, limit: number, run: () => Buffer): Buffer {
  let plain: Buffer
  try {
    plain = run()
  } catch (cause) {
    throw foreign(name, limit, cause)
  }
  checkSize(plain.length, limit)
  return plain
}

function foreign(name: CodecName, limit: number, cause: unknown): Error {
  if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return tooLarge(limit)
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new MalformedError(`${name}: ${reason}`)
}

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
const XERIAL_HEADER = Buffer.concat([XERIAL_MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])])
const XERIAL_BLOCK_BYTES = 32 * 1024

function compressXerial(bytes: Buffer): Buffer {
  const snappy = native<Snappy>('snappy')
  const parts: Buffer[] = [XERIAL_HEADER]
  for (let start = 0; start < bytes.length; start += XERIAL_BLOCK_BYTES) {
    const block = snappy.compressSync(bytes.subarray(start, start + XERIAL_BLOCK_BYTES))
    const size = Buffer.allocUnsafe(4)
    size.writeInt32BE(block.length)
    parts.push(size, block)
  }
  return Buffer.concat(parts)
}

function isXerial(bytes: Buffer, position: number): boolean {
  return (
    bytes.length - position >= XERIAL_HEADER.length &&
    bytes.compare(
      XERIAL_MAGIC,
      0,
      XERIAL_MAGIC.length,
      position,
      position + XERIAL_MAGIC.length,
    ) === 0
  )
}

function decompressSnappy(bytes: Buffer, limit: number): Buffer {
  const snappy = native<Snappy>('snappy')
  const raw = (block: Buffer) =>
    guard('snappy', limit, () => snappy.uncompressSync(block, { asBuffer: true }))
  if (!isXerial(bytes, 0)) {
    checkSize(snappySize(bytes), limit)
    return raw(bytes)
  }
  const blocks: Buffer[] = []
  let total = 0
  for (let p = 0; p < bytes.length; ) {
    // Streams may be strung together: a header may stand wherever a block may.
    if (isXerial(bytes, p)) {
      p += XERIAL_HEADER.length
      continue
    }
    const size = bytes.length - p < 4 ? -1 : bytes.readInt32BE(p)
    p += 4
    if (size < 0 || size > bytes.length - p) {
      throw new MalformedError(`snappy block of ${size} bytes, ${bytes.length - p} left`)
    }
    const block = bytes.subarray(p, p + size)
    total += snappySize(block)
    blocks.push(block)
    p += size
  }
  checkSize(total, limit)
  return blocks.length === 1 ? raw(blocks[0]!) : Buffer.concat(blocks.map(raw))
}

function compressZstd(bytes: Buffer, level: number): Buffer | Promise<Buffer> {
  if (nodeZlib.zstdCompressSync !== undefined) {
    return nodeZlib.zstdCompressSync(bytes, { params: { [ZSTD_LEVEL_PARAMETER]: level } })
  }
  return native<Zstd>(ZSTD_NATIVE).compress(Buffer.from(bytes), level)
}

function decompressZstd(bytes: Buffer, limit: number): Buffer | Promise<Buffer> {
  const frames = zstdFrames(bytes)
  if (nodeZlib.zstdDecompressSync !== undefined) return decompressZstdNow(bytes, frames, limit)
  let bound = 0
  for (const frame of frames) bound += frame.bound
  checkSize(bound, limit)
  return decompressZstdLater(Buffer.from(bytes), limit)
}

/** The frames of a stream, which may be several strung together, without those that give nothing. */
function zstdFrames(bytes: Buffer): ZstdFrame[] {
  const frames: ZstdFrame[] = []
  let p = 0
  do {
    const frame = zstdFrame(bytes, p)
    if (frame.bound > 0) frames.push(frame)
    // Producers write one frame; a thousand tiny ones would only cost time.
    if (frames.length > ZSTD_FRAMES_MAX) throw new MalformedError('too many zstd frames')
    p = frame.end
  } while (p < bytes.length)
  return frames
}

/** `node:zlib` stops behind the first frame, so each is given to it alone. */
function decompressZstdNow(bytes: Buffer, frames: readonly ZstdFrame[], limit: number): Buffer {
  const parts: Buffer[] = []
  let left = limit
  for (const { start, end } of frames) {
    const maxOutputLength = zlibLimit(left)
    const part = guard('zstd', limit, () =>
      nodeZlib.zstdDecompressSync!(bytes.subarray(start, end), { maxOutputLength }),
    )
    left -= part.length
    if (left < 0) throw tooLarge(limit)
    parts.push(part)
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

async function decompressZstdLater(bytes: Buffer, limit: number): Promise<Buffer> {
  const zstd = native<Zstd>(ZSTD_NATIVE)
  let plain: Buffer
  try {
    plain = await zstd.decompress(bytes)
  } catch (cause) {
    throw foreign('zstd', limit, cause)
  }
  checkSize(plain.length, limit)
  return plain
}
