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

test('a damaged frame is refused, left to the library, or gives what the library gives', () => {
  const seed = chooseSeed()
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  const frame = pack(content(seededRandom(seed)).subarray(0, 3000))
  let refused = 0
  for (let round = 0; round < tier.seeds * 100; round++) {
    const damaged = Buffer.from(frame)
    // Behind the header and the size of the first block: the structure of the frame holds.
    for (let k = 0; k < 3; k++)
      damaged[11 + Math.floor(random() * (frame.length - 15))] = random() * 256
    let unpacked: Buffer | null = null
    try {
      unpacked = unpackLz4(damaged)
    } catch (error) {
      assert(error instanceof MalformedError || error instanceof RangeError)
      refused++
      continue
    }
    if (unpacked !== null) assert(unpacked.equals(plainOf(damaged)), `round ${round}`)
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
