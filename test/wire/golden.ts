/**
 * Kafka's own facts, as tests read them: message definitions, samples that Kafka's serializer wrote, and captured
 * exchanges. They lie beside the repository (`../shared/kafka-protocol`); tests that need them are skipped, with a word,
 * where that folder is absent.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type ApiName, apis } from '../../protocol/apis.ts'
import { type Api, type Codec, isFlexible } from '../../protocol/schema.ts'

const folder = resolve(process.cwd(), '../shared/kafka-protocol')

/** For `test(name, { skip: withoutGolden }, …)`: false, or why the test cannot run. */
export const withoutGolden = existsSync(folder) ? false : `${folder} is not there`

export function goldenText(name: string): string {
  return readFileSync(join(folder, name), 'utf8')
}

export function goldenJson<T>(name: string): T {
  return JSON.parse(goldenText(name)) as T
}

export function goldenLines<T>(name: string): T[] {
  return goldenText(name)
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as T)
}

export type Side = 'request' | 'response'
export type Value = Record<string, unknown>

/** A field as Kafka's definitions describe it. */
export interface FieldDefinition {
  readonly name: string
  readonly type: string
  readonly versions: string
  readonly nullableVersions?: string
  readonly taggedVersions?: string
  readonly tag?: number
  readonly default?: string | number | boolean
  readonly ignorable?: boolean | string
  readonly fields?: readonly FieldDefinition[]
}

export interface MessageDefinition {
  readonly apiKey: number
  readonly name: string
  readonly validVersions: string
  readonly flexibleVersions: string
  readonly fields: readonly FieldDefinition[]
}

const definitions = new Map<string, MessageDefinition>()

export function definitionOf(name: string, side: Side): MessageDefinition {
  const file = `messages/${name}${side === 'request' ? 'Request' : 'Response'}.json`
  let definition = definitions.get(file)
  if (definition === undefined) {
    definition = goldenJson<MessageDefinition>(file)
    definitions.set(file, definition)
  }
  return definition
}

/** Whether Kafka's notation ("3", "3+", "3-5", "none") includes a version. */
export function includes(versions: string | undefined, version: number): boolean {
  const [, first, rest] = /^(\d+)(\+|-\d+)?$/.exec(versions ?? 'none') ?? []
  if (first === undefined) return false
  if (rest === undefined) return version === Number(first)
  return version >= Number(first) && (rest === '+' || version <= Number(rest.slice(1)))
}

/** Kafka's name in our spelling. */
export function fieldName(definition: FieldDefinition): string {
  return definition.name[0]!.toLowerCase() + definition.name.slice(1)
}

/** Turns a sample's base64 (`bytes`, `records`) into Buffers, as our codecs have them. */
export function fromSample(fields: readonly FieldDefinition[], sample: Value): Value {
  const value: Value = {}
  for (const field of fields) {
    const given = sample[fieldName(field)]
    if (given !== undefined) value[fieldName(field)] = fromSampleField(field, field.type, given)
  }
  return value
}

function fromSampleField(field: FieldDefinition, type: string, given: unknown): unknown {
  if (given === null) return null
  if (type.startsWith('[]')) {
    return (given as unknown[]).map(item => fromSampleField(field, type.slice(2), item))
  }
  if (type === 'bytes' || type === 'records') return Buffer.from(given as string, 'base64')
  return field.fields === undefined ? given : fromSample(field.fields, given as Value)
}

export function codecOf(name: ApiName, side: Side, version: number): Codec<Value> {
  const definition: Api = apis[name]
  return definition[side].at(version, isFlexible(definition, version)) as Codec<Value>
}

export interface Sample {
  readonly api: ApiName
  readonly side: Side
  readonly version: number
  readonly label: string
  readonly bytes: Buffer
  readonly value: Value
}

/** Kafka's samples of the messages that we know, in the versions that we know. */
export function samples(): Sample[] {
  const lines = goldenLines<{
    message: string
    version: number
    sample: string
    hex: string
    value: Value
  }>('golden-messages.jsonl')
  return lines.flatMap(({ message, version, sample, hex, value }) => {
    const [, name = '', kind] = /^(.*)(Request|Response)$/.exec(message) ?? []
    if (!Object.hasOwn(apis, name)) return []
    const api = name as ApiName
    if (version < apis[api].versions[0] || version > apis[api].versions[1]) return []
    const side = kind === 'Request' ? 'request' : 'response'
    const label = `${message} v${version} ${sample}`
    const typed = fromSample(definitionOf(name, side).fields, value)
    return [{ api, side, version, label, bytes: Buffer.from(hex, 'hex'), value: typed }]
  })
}
