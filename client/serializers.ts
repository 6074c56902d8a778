/**
 * From values to bytes and back. A serializer has both directions; producers use one, consumers the other, and the type of
 * its values is the type of `record.key` or `record.value`. They are the formats of Kafka's own serializers, so that
 * programs in Java read what is written here.
 *
 * No value (null) is no bytes and is never shown to a serializer. What cannot be written or read throws a SerializerError,
 * to which the caller adds the topic.
 */
import { SerializerError } from './errors.ts'
import { told } from './option-names.ts'

/** What a record is made of: text is written as UTF-8. */
export type Bytes = Uint8Array | string

export interface Serializer<T> {
  /** How errors name it. */
  readonly name: string
  serialize(value: T, topic: string): Bytes
  /** `bytes` is a view that stays valid. */
  deserialize(bytes: Buffer, topic: string): T
}

/** What is given for `key` and `value` has to have the method that is going to be called. What is wrong is added to `wrong`. */
export function checkSerializers(
  options: { readonly key?: unknown; readonly value?: unknown },
  method: 'serialize' | 'deserialize',
  wrong: string[],
): void {
  for (const part of ['key', 'value'] as const) {
    const given = options[part] as { readonly [name: string]: unknown } | null | undefined
    if (given == null || typeof given[method] === 'function') continue
    const advice = 'give string, json(), int32, … or { name, serialize, deserialize }'
    wrong.push(`${part} is ${told(given)}, not a serializer: ${advice}`)
  }
}

/** Text in UTF-8. */
export const string: Serializer<string> = {
  name: 'string',
  serialize: value => value,
  deserialize: bytes => bytes.toString('utf8'),
}

/** Bytes as they are. */
export const bytes: Serializer<Uint8Array> = {
  name: 'bytes',
  serialize: value => value,
  deserialize: value => value,
}

/** Bytes or text in, bytes out: what producers and consumers use where nothing else is said. */
export const raw = {
  name: 'raw',
  serialize: (value: Bytes): Bytes => value,
  deserialize: (value: Buffer): Buffer => value,
}

/** JSON in UTF-8; the type is a promise that nobody checks. */
export function json<T = unknown>(): Serializer<T> {
  return {
    name: 'json',
    serialize(value) {
      const text: string | undefined = JSON.stringify(value)
      if (text === undefined) throw new SerializerError(`json cannot write ${typeof value}`)
      return text
    },
    deserialize(bytes) {
      try {
        return JSON.parse(bytes.toString('utf8')) as T
      } catch (cause) {
        throw new SerializerError('json cannot read these bytes', cause)
      }
    },
  }
}

/** A whole number of 32 bits. */
export const int32: Serializer<number> = {
  name: 'int32',
  serialize(value) {
    if ((value | 0) !== value) throw new SerializerError(`int32 cannot write ${value}`)
    const out = Buffer.allocUnsafe(4)
    out.writeInt32BE(value)
    return out
  },
  deserialize: bytes => sized(bytes, 4, 'int32').readInt32BE(),
}

/** A whole number of 64 bits. */
export const int64: Serializer<bigint> = {
  name: 'int64',
  serialize(value) {
    if (BigInt.asIntN(64, value) !== value) throw new SerializerError(`int64 cannot write ${value}`)
    const out = Buffer.allocUnsafe(8)
    out.writeBigInt64BE(value)
    return out
  },
  deserialize: bytes => sized(bytes, 8, 'int64').readBigInt64BE(),
}

/** A floating-point number of 64 bits. */
export const double: Serializer<number> = {
  name: 'double',
  serialize(value) {
    const out = Buffer.allocUnsafe(8)
    out.writeDoubleBE(value)
    return out
  },
  deserialize: bytes => sized(bytes, 8, 'double').readDoubleBE(),
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** A UUID, which Kafka's serializer writes as text. */
export const uuid: Serializer<string> = {
  name: 'uuid',
  serialize(value) {
    if (!UUID.test(value)) throw new SerializerError(`uuid cannot write '${value}'`)
    return value
  },
  deserialize(bytes) {
    const text = bytes.toString('latin1')
    if (!UUID.test(text)) throw new SerializerError('uuid cannot read these bytes')
    return text
  },
}

function sized(bytes: Buffer, size: number, name: string): Buffer {
  if (bytes.length === size) return bytes
  throw new SerializerError(`${name} takes ${size} bytes, there are ${bytes.length}`)
}
