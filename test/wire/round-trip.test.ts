/**
 * Properties of every API in every version, on values made from the schema: what is written reads back equal, compiled
 * and interpreted codecs agree to the byte, and bytes that were cut or changed never do worse than MalformedError.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ApiName, apis } from '../../protocol/apis.ts'
import { MalformedError, Reader, Writer } from '../../protocol/buffer.ts'
import { type Api, type Codec, isFlexible } from '../../protocol/schema.ts'
import { interpreted } from '../protocol/interpreter.ts'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { arbitraryOf } from './arbitrary.ts'
import { codecOf, samples, withoutGolden } from './golden.ts'

const names = Object.keys(apis) as ApiName[]
const sides = ['request', 'response'] as const

function encode(codec: Codec<unknown>, value: unknown): Buffer {
  const writer = new Writer(16)
  codec.write(writer, value)
  return writer.bytes()
}

for (const name of names) {
  test(`${name}: values read back equal in every version, compiled and interpreted`, t => {
    const api: Api = apis[name]
    const seed = chooseSeed()
    t.diagnostic(`seed ${seed}`)
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      for (const side of sides) {
        const flexible = isFlexible(api, version)
        const compiled: Codec<unknown> = api[side].at(version, flexible)
        const oracle: Codec<unknown> = interpreted(api[side], version, flexible)
        const property = fc.property(arbitraryOf(api[side].node, version, flexible), value => {
          const written = encode(compiled, value)
          assert.equal(encode(oracle, value).toString('hex'), written.toString('hex'))
          const reader = new Reader(written)
          assert.deepEqual(compiled.read(reader), value)
          assert.equal(reader.remaining, 0)
          assert.deepEqual(oracle.read(new Reader(written)), value)
        })
        fc.assert(property, { seed, numRuns: Math.ceil(tier.propertyRuns / 10) })
      }
    }
  })
}

test('a message that ends early is malformed, wherever it ends', { skip: withoutGolden }, () => {
  for (const { api, side, version, label, bytes } of samples()) {
    // The oldest and the newest version of each have all kinds of fields between them.
    if (version !== apis[api].versions[0] && version !== apis[api].versions[1]) continue
    const codec = codecOf(api, side, version)
    for (let end = 0; end < bytes.length; end++) {
      const read = () => codec.read(new Reader(bytes, 0, end))
      assert.throws(read, MalformedError, `${label} cut at ${end} of ${bytes.length}`)
    }
  }
})

test('changed bytes read as some value or are malformed, as the oracle says', {
  skip: withoutGolden,
}, t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  for (const { api, side, version, label, bytes } of samples()) {
    const compiled = codecOf(api, side, version)
    const oracle = interpreted(
      apis[api][side] as Api['request'],
      version,
      isFlexible(apis[api], version),
    )
    for (let run = 0; run < tier.seeds; run++) {
      const changed = Buffer.from(bytes)
      for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
        changed[Math.floor(random() * changed.length)] = Math.floor(random() * 256)
      }
      const hex = `${label} ${changed.toString('hex')}`
      assert.deepEqual(outcome(compiled, changed), outcome(oracle, changed), hex)
    }
  }
})

/** The value read and what is left, or that the bytes are malformed; anything else is thrown on. */
function outcome(codec: Codec<unknown>, bytes: Buffer): unknown {
  const reader = new Reader(bytes)
  try {
    const value = codec.read(reader)
    return { value, remaining: reader.remaining }
  } catch (error) {
    if (error instanceof MalformedError) return 'malformed'
    throw error
  }
}
