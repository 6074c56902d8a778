/** The codecs: Kafka's bytes, our bytes, the limit on what comes out, and bytes that lie. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import zlib from 'node:zlib'
import fc from 'fast-check'
import { MalformedError } from '../../protocol/buffer.ts'
import {
  codecName,
  codecs,
  compress,
  decompress,
  isAsynchronous,
} from '../../protocol/compression.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import * as batches from '../../protocol/record-batch.ts'
import { encodeRecords } from '../../protocol/records.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { withoutGolden } from '../wire/golden.ts'
import { goldenBatches } from '../wire/golden-batches.ts'

const LIMIT = 1 << 24
const COMPRESSING = [codecs.gzip, codecs.snappy, codecs.lz4, codecs.zstd]
const require = createRequire(import.meta.url)
const snappy = require('snappy') as { compressSync(bytes: Buffer): Buffer }
const lz4 = require('lz4-napi') as {
  compressFrameSync(
    bytes: Buffer,
    options?: { contentChecksum?: boolean; blockChecksums?: boolean },
  ): Buffer
}

const text = Buffer.from('{"name":"value","list":[1,2,3]} '.repeat(40))

/** Half repetitive, half random: what records look like to a codec. */
function mixed(size: number, seed: number): Buffer {
  const random = seededRandom(seed)
  return Buffer.from(
    Array.from({ length: size }, (_, i) =>
      i % 64 < 32 ? 65 + (i % 16) : Math.floor(random() * 256),
    ),
  )
}

const malformed = (codec: number, bytes: Buffer, why: string) =>
  assert.rejects(
    async () => decompress(codec, bytes, LIMIT),
    MalformedError,
    `${codecName(codec)}: ${why}`,
  )

const tooLarge = (codec: number, bytes: Buffer, limit: number) =>
  assert.rejects(
    async () => decompress(codec, bytes, limit),
    (error: unknown) => error instanceof ProtocolError && error.error === 'MESSAGE_TOO_LARGE',
    `codec ${codec}`,
  )

test("Kafka's compressed batches hold the same records as its uncompressed ones", {
  skip: withoutGolden,
}, async () => {
  const seen = new Set<number>()
  const plain = goldenBatches().filter(({ label }) => label.startsWith('none-0'))
  for (const { label, segment: b, position: p } of goldenBatches()) {
    const codec = batches.codec(b, p)
    if (codec === 0) continue
    seen.add(codec)
    const packed = b.subarray(p + batches.RECORD_BATCH_OVERHEAD, p + batches.sizeInBytes(b, p))
    const twin = plain.find(
      ({ segment, position }) => batches.baseOffset(segment, position) === batches.baseOffset(b, p),
    )!
    const end = twin.position + batches.sizeInBytes(twin.segment, twin.position)
    const section = twin.segment.subarray(twin.position + batches.RECORD_BATCH_OVERHEAD, end)
    assert.ok((await decompress(codec, packed, LIMIT)).equals(section), label)
  }
  assert.deepEqual([...seen].sort(), COMPRESSING)
})

test('any bytes come back from each codec', async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const any = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }).map(array => Buffer.from(array)),
    fc.tuple(fc.nat(100_000), fc.nat()).map(([size, start]) => mixed(size, start)),
  )
  const back = async (bytes: Buffer, codec: number) => {
    const packed = await compress(codec, bytes)
    assert.ok((await decompress(codec, packed, Math.max(bytes.length, 1 << 18))).equals(bytes))
  }
  await fc.assert(fc.asyncProperty(any, fc.constantFrom(0, ...COMPRESSING), back), {
    seed,
    numRuns: Math.min(tier.propertyRuns, 60),
  })
})

test('every level of a codec gives bytes that come back', async () => {
  const levels = {
    gzip: [-1, 1, 9],
    snappy: [undefined],
    lz4: [1, 9, 17],
    zstd: [-131072, -1, 1, 3, 22],
  }
  for (const [name, values] of Object.entries(levels)) {
    const codec = codecs[name as keyof typeof levels]
    for (const level of values) {
      const packed = await compress(codec, text, level)
      assert.ok((await decompress(codec, packed, LIMIT)).equals(text), `${name} ${level}`)
    }
  }
  const rows = Buffer.from(
    Array.from({ length: 900 }, (_, i) => `{id:${i},v:${(i * i) % 977}}`).join(),
  )
  const size = async (codec: number, level: number) => (await compress(codec, rows, level)).length
  assert.ok((await size(codecs.gzip, 9)) < (await size(codecs.gzip, 1)))
  assert.ok((await size(codecs.zstd, 19)) < (await size(codecs.zstd, -1000)))
})

test('a promise is given for zstd only, and only on a Node without zstd', async () => {
  const hasZstd = 'zstdDecompressSync' in zlib
  for (const codec of [0, ...COMPRESSING]) {
    assert.equal(isAsynchronous(codec), codec === codecs.zstd && !hasZstd)
    const packed = compress(codec, text)
    assert.equal(Buffer.isBuffer(packed), !isAsynchronous(codec))
    assert.equal(Buffer.isBuffer(decompress(codec, await packed, LIMIT)), !isAsynchronous(codec))
  }
})

test('the bytes handed in may be used again at once', async () => {
  for (const codec of COMPRESSING) {
    const given = Buffer.from(text)
    const packing = compress(codec, given)
    given.fill(0)
    const packed = Buffer.from(await packing)
    const unpacking = decompress(codec, packed, LIMIT)
    packed.fill(0)
    assert.ok((await unpacking).equals(text), codecName(codec))
  }
})

test('output of exactly the limit is given, and of one byte more refused', async () => {
  const bytes = mixed(100_000, 3)
  for (const codec of [0, codecs.gzip, codecs.snappy, codecs.lz4]) {
    const packed = await compress(codec, bytes)
    assert.equal((await decompress(codec, packed, bytes.length)).length, bytes.length)
    await tooLarge(codec, packed, bytes.length - 1)
  }
  // Where zstd takes no limit it is refused by a bound of 128 KiB a block.
  const packed = await compress(codecs.zstd, bytes)
  assert.equal((await decompress(codecs.zstd, packed, 128 * 1024)).length, bytes.length)
  await tooLarge(codecs.zstd, packed, bytes.length - 1)
})

test('a bomb is refused without being unpacked', async () => {
  const zeros = Buffer.alloc(24 << 20)
  for (const codec of COMPRESSING) {
    const bomb = await compress(codec, zeros)
    const before = process.memoryUsage.rss()
    await tooLarge(codec, bomb, 1 << 20)
    assert.ok(process.memoryUsage.rss() - before < 16 << 20, codecName(codec))
  }
})

test('sizes that lie are malformed or too large before anything is allocated', async () => {
  const claims = (size: number) => {
    const bytes: number[] = []
    for (let rest = size; ; rest = Math.floor(rest / 128)) {
      bytes.push(rest >= 128 ? (rest % 128) | 0x80 : rest)
      if (rest < 128) return Buffer.from([...bytes, 0, 65])
    }
  }
  await malformed(codecs.snappy, claims(2 ** 32 - 1), 'claims 4 GiB')
  await malformed(codecs.snappy, claims(67 + 1), 'claims more than its bytes can give')
  await malformed(codecs.snappy, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 1]), 'endless size')
})

test('gzip: several members, one after the other, are one stream', () => {
  const members = Buffer.concat([
    zlib.gzipSync(text.subarray(0, 50)),
    zlib.gzipSync(text.subarray(50)),
  ])
  assert.ok((decompress(codecs.gzip, members, LIMIT) as Buffer).equals(text))
  assert.throws(() => decompress(codecs.gzip, members, text.length - 1), ProtocolError)
})

test('snappy: raw blocks and xerial framing are read, xerial framing with 32 KiB blocks is written', async () => {
  const bytes = mixed(80_000, 4)
  assert.ok((await decompress(codecs.snappy, snappy.compressSync(bytes), LIMIT)).equals(bytes))
  const framed = (await compress(codecs.snappy, bytes)) as Buffer
  assert.equal(framed.toString('hex', 0, 16), '82534e4150505900' + '0000000100000001')
  let blocks = 0
  for (let p = 16; p < framed.length; p += 4 + framed.readInt32BE(p)) blocks++
  assert.equal(blocks, 3)
  // Java's stream writes its header again when streams are strung together.
  const twice = await decompress(codecs.snappy, Buffer.concat([framed, framed]), LIMIT)
  assert.ok(twice.equals(Buffer.concat([bytes, bytes])))
  assert.equal((await decompress(codecs.snappy, framed.subarray(0, 16), LIMIT)).length, 0)
  for (const cut of [17, 19, 20, 30, framed.length - 1]) {
    await malformed(codecs.snappy, framed.subarray(0, cut), `cut at ${cut}`)
  }
  await malformed(
    codecs.snappy,
    Buffer.concat([framed, Buffer.from([0xff, 0xff, 0xff, 0xff])]),
    'block of -1',
  )
})

test('lz4: frames with any checksum are read; what Kafka cannot read is not', async () => {
  const bytes = mixed(200_000, 5)
  for (const contentChecksum of [false, true]) {
    for (const blockChecksums of [false, true]) {
      const frame = lz4.compressFrameSync(bytes, { contentChecksum, blockChecksums })
      assert.ok((await decompress(codecs.lz4, frame, LIMIT)).equals(bytes))
      for (const cut of [0, 3, 6, 7, 10, 11, 1000, frame.length - 1]) {
        await malformed(codecs.lz4, frame.subarray(0, cut), `cut at ${cut}`)
      }
      await malformed(codecs.lz4, Buffer.concat([frame, Buffer.from([0])]), 'a byte behind')
      await malformed(codecs.lz4, Buffer.concat([frame, frame]), 'two frames')
    }
  }
  const frame = lz4.compressFrameSync(bytes)
  const changed = (at: number, value: number) => {
    const copy = Buffer.from(frame)
    copy[at] = value
    return copy
  }
  await malformed(codecs.lz4, changed(4, 0x40), 'linked blocks')
  await malformed(codecs.lz4, changed(4, 0x61), 'dictionary')
  await malformed(codecs.lz4, changed(4, 0xa0), 'version 2')
  await malformed(codecs.lz4, changed(5, 0x30), 'block size 3')
  await malformed(codecs.lz4, changed(5, 0xc0), 'block size beyond 7')
  await malformed(codecs.lz4, changed(6, frame[6]! ^ 1), 'header checksum')
})

test('zstd: several frames and skippable ones are one stream', async () => {
  const one = Buffer.from(await compress(codecs.zstd, text.subarray(0, 50)))
  const two = Buffer.from(await compress(codecs.zstd, text.subarray(50)))
  const skippable = Buffer.from('5a2a4d1803000000aabbcc', 'hex')
  const stream = Buffer.concat([one, skippable, two])
  assert.ok((await decompress(codecs.zstd, stream, LIMIT)).equals(text))
  for (const cut of [
    0,
    3,
    5,
    7,
    one.length - 1,
    one.length + 3,
    one.length + 9,
    stream.length - 1,
  ]) {
    await malformed(codecs.zstd, stream.subarray(0, cut), `cut at ${cut}`)
  }
  await malformed(codecs.zstd, Buffer.concat([one, Buffer.from('garbage!')]), 'garbage behind')
  await malformed(codecs.zstd, Buffer.concat(Array(1001).fill(one)), 'a thousand frames')
})

test('codecs 5 to 7 do not exist', () => {
  for (const codec of [5, 6, 7]) {
    assert.equal(codecName(codec), undefined)
    const unknown = { error: 'UNSUPPORTED_COMPRESSION_TYPE' }
    assert.throws(() => decompress(codec, text, LIMIT), unknown)
    assert.throws(() => compress(codec, text), unknown)
  }
})

test('garbage, cuts and changed bytes give a result or MalformedError, from every codec', async t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const below = (n: number) => Math.floor(random() * n)
  const records = encodeRecords(
    Array.from({ length: 50 }, (_, i) => ({ timestamp: i, value: mixed(below(200), i) })),
    0,
  )
  for (const codec of COMPRESSING) {
    const sources: Buffer[] = [
      Buffer.from(await compress(codec, records)),
      Buffer.from(await compress(codec, text)),
    ]
    if (codec === codecs.snappy) sources.push(snappy.compressSync(text))
    for (let round = 0; round < tier.seeds * 20; round++) {
      let bytes: Buffer = Buffer.from(sources[below(sources.length)]!)
      const kind = below(4)
      if (kind === 0) bytes = Buffer.from(Array.from({ length: below(100) }, () => below(256)))
      else if (kind === 1) bytes = bytes.subarray(0, below(bytes.length))
      else for (let n = 1 + below(4); n > 0; n--) bytes[below(bytes.length)] = below(256)
      try {
        const plain = await decompress(codec, bytes, 1 << 20)
        assert.ok(Buffer.isBuffer(plain) && plain.length <= 1 << 20)
      } catch (error) {
        const expected =
          error instanceof MalformedError ||
          (error instanceof ProtocolError && error.error === 'MESSAGE_TOO_LARGE')
        assert.ok(expected, `${codecName(codec)} ${bytes.toString('hex')}: ${error}`)
      }
    }
  }
})
