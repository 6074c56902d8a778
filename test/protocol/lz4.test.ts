/** The LZ4 decoder of the broker: what it gives is what the library gives, and bad blocks are only ever refused. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { MalformedError } from '../../protocol/buffer.ts'
import { codecs, compress, decompress } from '../../protocol/compression.ts'
import { LZ4_WASM_BASE64, unpackLz4 } from '../../protocol/lz4.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'

interface Wabt {
  parseWat(
    name: string,
    text: string,
    features: { bulk_memory: boolean },
  ): { toBinary(options: object): { buffer: Uint8Array } }
}

const pack = (bytes: Buffer): Buffer => compress(codecs.lz4, bytes) as Buffer
const plainOf = (frame: Buffer): Buffer => decompress(codecs.lz4, frame, 2 ** 24) as Buffer

test('the bytes in lz4.ts are what lz4.wat assembles to', async () => {
  const open = createRequire(import.meta.url)('wabt') as () => Promise<Wabt>
  const source = readFileSync('protocol/lz4.wat', 'utf8')
  const module = (await open()).parseWat('lz4.wat', source, { bulk_memory: true })
  const assembled = Buffer.from(module.toBinary({}).buffer).toString('base64')
  assert.equal(LZ4_WASM_BASE64, assembled)
})

/** Bytes with repeats near and far, runs, and noise: every kind of sequence. */
function content(random: () => number): Buffer {
  const size = Math.floor(random() * 200_000)
  const bytes = Buffer.alloc(size)
  const letters = 1 + Math.floor(random() * 255)
  for (let i = 0; i < size; ) {
    const kind = random()
    const run = Math.min(size - i, 1 + Math.floor(random() ** 3 * 3000))
    if (kind < 0.4 && i > 0) {
      const distance = 1 + Math.floor(random() ** 2 * Math.min(i, 65535))
      for (let k = 0; k < run; k++) bytes[i + k] = bytes[i + k - distance]!
    } else for (let k = 0; k < run; k++) bytes[i + k] = random() * letters
    i += run
  }
  return bytes
}

test('content comes out as it went in, whatever it repeats', () => {
  const seed = chooseSeed()
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  for (let round = 0; round < tier.seeds * 3; round++) {
    const bytes = content(random)
    const unpacked = unpackLz4(pack(bytes))
    assert(unpacked !== null)
    assert(unpacked.equals(bytes), `round ${round}`)
  }
})

/** What `decompress` gives, or null where it refuses. */
function outcome(frame: Buffer, isTransient: boolean): Buffer | null {
  try {
    return decompress(codecs.lz4, frame, 2 ** 24, isTransient) as Buffer
  } catch (error) {
    assert(error instanceof MalformedError)
    return null
  }
}

test('of a damaged frame the decoder says what the library says', () => {
  const seed = chooseSeed()
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  const text = Array.from({ length: 200 }, (_, i) => `order ${i % 7} of customer ${i % 13}`)
  const frame = pack(Buffer.from(text.join(', ')))
  let refused = 0
  for (let round = 0; round < tier.seeds * 100; round++) {
    const damaged = Buffer.from(frame)
    for (let k = 0; k < 3; k++) damaged[Math.floor(random() * frame.length)] = random() * 256
    const [ours, theirs] = [outcome(damaged, true), outcome(damaged, false)]
    assert.equal(ours === null, theirs === null, `round ${round}: ${damaged.toString('hex')}`)
    if (ours === null) refused++
    else assert(ours.equals(theirs!), `round ${round}`)
  }
  assert(refused > 0)
})

test('content beyond the memory of the decoder is left to the library, content that fills it is not', () => {
  const mebibyte = 1024 * 1024
  const fits = Buffer.alloc(mebibyte, 'fits')
  assert.equal(unpackLz4(pack(fits))?.equals(fits), true)
  assert.equal(unpackLz4(pack(Buffer.alloc(mebibyte + 1, 'beyond'))), null)
  const large = Buffer.alloc(mebibyte + 1, 'beyond')
  assert.equal((decompress(codecs.lz4, pack(large), 2 ** 24, true) as Buffer).equals(large), true)
})

test('a wrong checksum of the header is refused, for every size of block', () => {
  for (const descriptor of [0x40, 0x50, 0x60, 0x70]) {
    const frame = Buffer.from(pack(Buffer.from('header')))
    frame[5] = descriptor
    const taken = Array.from({ length: 256 }, (_, checksum) => {
      frame[6] = checksum
      try {
        return unpackLz4(frame)?.toString() === 'header' && plainOf(frame).toString() === 'header'
      } catch (error) {
        assert(error instanceof MalformedError)
        return false
      }
    })
    assert.equal(taken.filter(Boolean).length, 1, `descriptor ${descriptor}`)
  }
})
