/**
 * Every message of every API we know, in every version, against what Kafka's own serializer wrote.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type ApiName, apiByKey, apis } from '../../protocol/apis.ts'
import { Reader, Writer } from '../../protocol/buffer.ts'
import type { Api } from '../../protocol/schema.ts'
import {
  codecOf,
  definitionOf,
  type FieldDefinition,
  fieldName,
  goldenText,
  includes,
  type Sample,
  samples,
  type Value,
  withoutGolden,
} from '../wire/golden.ts'

const names = Object.keys(apis) as ApiName[]

test("Kafka's samples decode to their values", { skip: withoutGolden }, t => {
  const all = samples()
  for (const sample of all) {
    const reader = new Reader(sample.bytes)
    const value = codecOf(sample.api, sample.side, sample.version).read(reader)
    assert.equal(reader.remaining, 0, `${sample.label}: bytes left over`)
    compare(sample, value)
  }
  t.diagnostic(`${all.length} samples`)
})

test("values encode to the bytes of Kafka's samples", { skip: withoutGolden }, () => {
  for (const { api, side, version, label, bytes, value } of samples()) {
    const writer = new Writer()
    codecOf(api, side, version).write(writer, value)
    assert.equal(writer.bytes().toString('hex'), bytes.toString('hex'), label)
  }
})

test('what was decoded encodes to the same bytes', { skip: withoutGolden }, () => {
  for (const { api, side, version, label, bytes } of samples()) {
    const codec = codecOf(api, side, version)
    const writer = new Writer(1)
    codec.write(writer, codec.read(new Reader(bytes)))
    assert.equal(writer.bytes().toString('hex'), bytes.toString('hex'), label)
  }
})

test('every version of every API has samples of both sides', { skip: withoutGolden }, () => {
  const seen = new Map<string, number>()
  for (const { api, side, version } of samples()) {
    const key = `${api} ${side} v${version}`
    seen.set(key, (seen.get(key) ?? 0) + 1)
  }
  for (const name of names) {
    const [first, last] = apis[name].versions
    for (let version = first; version <= last; version++) {
      assert.equal(seen.get(`${name} request v${version}`), 2, `${name} request v${version}`)
      assert.equal(seen.get(`${name} response v${version}`), 2, `${name} response v${version}`)
    }
  }
})

test("advertised versions are those of Kafka's broker", { skip: withoutGolden }, () => {
  const rows = goldenText('api-versions.tsv')
    .trim()
    .split('\n')
    .map(line => line.split('\t'))
  const kafka = new Map(rows.map(([key, name, low, high]) => [name!, [key, low, high].map(Number)]))
  for (const name of names) {
    const { key, advertised } = apis[name]
    assert.deepEqual([key, ...advertised], kafka.get(name), name)
  }
})

test("versions and flexible versions are those of Kafka's definitions", {
  skip: withoutGolden,
}, () => {
  for (const name of names) {
    const api: Api = apis[name]
    for (const side of ['request', 'response'] as const) {
      const { apiKey, validVersions, flexibleVersions } = definitionOf(name, side)
      assert.equal(apiKey, api.key, name)
      // InitProducerId 6 is defined but unstable: no broker advertises it.
      const [first, last] = name === 'InitProducerId' ? [0, 5] : bounds(validVersions)
      assert.deepEqual(api.versions, [first, last], name)
      assert.equal(flexibleVersions, api.flexible === null ? 'none' : `${api.flexible}+`, name)
    }
  }
})

test("the README has every API of Kafka's broker once: in a row of its own, or as not supported", {
  skip: withoutGolden,
}, () => {
  const readme = readFileSync('protocol/README.md', 'utf8')
  const [supported = '', unsupported = ''] = readme.split('## What is not supported')
  const range = ([first, last]: readonly [number, number]) => `${first}–${last}`
  for (const line of goldenText('api-versions.tsv').trim().split('\n')) {
    const name = line.split('\t')[1]!
    const api = Object.values(apis).find(known => known.name === name)
    const row =
      api && `| ${name} | ${api.key} | ${range(api.versions)} | ${range(api.advertised)} |\n`
    const isListed = new RegExp(`[| ]${name}[,| ]`).test(unsupported.split('\nNor')[0]!)
    assert.equal(row !== undefined && supported.includes(row), api !== undefined, name)
    assert.equal(isListed, api === undefined, name)
  }
})

test('an API is found by its key, by its name, and by nothing else', () => {
  for (const name of names) {
    assert.equal(apis[name].name, name)
    assert.equal(apiByKey(apis[name].key), apis[name])
  }
  assert.equal(new Set(names.map(name => apis[name].key)).size, names.length)
  assert.equal(apiByKey(-1), undefined)
  assert.equal(apiByKey(9999), undefined)
})

function bounds(versions: string): [number, number] {
  const [first, last = first] = versions.split('-').map(Number)
  return [first!, last!]
}

/** What the sample has must be equal; what it has not must be a default of a field that its version lacks or tags. */
function compare({ api, side, version, label, value }: Sample, ours: Value): void {
  compareFields(definitionOf(api, side).fields, version, label, value, ours)
}

function compareFields(
  fields: readonly FieldDefinition[],
  version: number,
  label: string,
  expected: Value,
  ours: Value,
): void {
  const known = new Set(fields.map(fieldName))
  for (const name of Object.keys(ours)) assert.ok(known.has(name), `${label}: invented ${name}`)
  for (const field of fields) {
    const name = fieldName(field)
    const path = `${label} ${name}`
    if (name in expected) compareValue(field, version, path, expected[name], ours[name])
    else {
      const tagged = includes(field.taggedVersions, version)
      assert.ok(tagged || !includes(field.versions, version), `${path}: not in the sample`)
      if (name in ours) assertDefault(field, path, ours[name])
    }
  }
}

function compareValue(
  field: FieldDefinition,
  version: number,
  path: string,
  expected: unknown,
  ours: unknown,
): void {
  if (field.fields === undefined || expected === null) assert.deepEqual(ours, expected, path)
  else if (Array.isArray(expected)) {
    assert.ok(Array.isArray(ours) && ours.length === expected.length, `${path}: length`)
    for (let i = 0; i < expected.length; i++) {
      compareFields(field.fields, version, `${path}[${i}]`, expected[i], ours[i])
    }
  } else compareFields(field.fields, version, path, expected as Value, ours as Value)
}

function assertDefault(field: FieldDefinition, path: string, ours: unknown): void {
  const text = field.default === undefined ? undefined : String(field.default)
  // A string that may be null is null with us where nothing is said; Kafka's default may be the empty string.
  if (text === 'null' || (ours === null && field.nullableVersions !== undefined)) {
    return assert.equal(ours, null, path)
  }
  if (field.type.startsWith('[]')) return assert.deepEqual(ours, [], path)
  if (field.fields !== undefined) {
    for (const inner of field.fields) {
      assertDefault(inner, `${path}.${fieldName(inner)}`, (ours as Value)[fieldName(inner)])
    }
  } else if (field.type === 'string') assert.equal(ours, text ?? '', path)
  else if (field.type === 'bool') assert.equal(ours, text === 'true', path)
  else if (field.type === 'uuid') assert.equal(ours, 'AAAAAAAAAAAAAAAAAAAAAA', path)
  else assert.equal(ours, Number(text ?? 0), path)
}
