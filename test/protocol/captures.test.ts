/**
 * Real exchanges of kcat, Kafka's Java tools and kafkajs with a real broker: what they sent and what they got must decode
 * and encode again to the same bytes, headers included.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { apiByKey } from '../../protocol/apis.ts'
import { Reader, Writer } from '../../protocol/buffer.ts'
import {
  beginRequest,
  beginResponse,
  endFrame,
  hasResponseTags,
  readRequestHeader,
  skipTags,
} from '../../protocol/frame.ts'
import { isFlexible } from '../../protocol/schema.ts'
import { codecOf, goldenLines, withoutGolden } from '../wire/golden.ts'

interface Capture {
  readonly client: string
  readonly apiKey: number
  readonly apiVersion: number
  readonly request: string
  readonly response: string
}

function captures() {
  return goldenLines<Capture>('captures.jsonl').flatMap(capture => {
    const api = apiByKey(capture.apiKey)
    const version = capture.apiVersion
    if (api === undefined) return []
    return [{ ...capture, api, version, label: `${capture.client} ${api.name} v${version}` }]
  })
}

/** The frame without its length, after checking that length. */
function frameBody(writer: Writer): string {
  assert.equal(writer.bytes().readInt32BE(0), writer.position - 4)
  return writer.bytes().toString('hex', 4)
}

test('captured requests decode and encode to the same bytes', { skip: withoutGolden }, t => {
  const all = captures()
  for (const { api, version, label, request } of all) {
    const reader = new Reader(Buffer.from(request, 'hex'))
    const header = readRequestHeader(reader)
    assert.equal(header.apiKey, api.key, label)
    assert.equal(header.apiVersion, version, label)
    if (isFlexible(api, version)) skipTags(reader)
    const codec = codecOf(api.name, 'request', version)
    const body = codec.read(reader)
    assert.equal(reader.remaining, 0, `${label}: bytes left over`)

    const writer = new Writer()
    const start = beginRequest(writer, api, version, header.correlationId, header.clientId)
    codec.write(writer, body)
    endFrame(writer, start, 0)
    assert.equal(frameBody(writer), request, label)
  }
  t.diagnostic(`${all.length} exchanges`)
  assert.ok(all.length > 60, `${all.length} exchanges`)
})

test('captured responses decode and encode to the same bytes', { skip: withoutGolden }, () => {
  for (const { api, version, label, response } of captures()) {
    const reader = new Reader(Buffer.from(response, 'hex'))
    const correlationId = reader.int32()
    if (hasResponseTags(api, version)) skipTags(reader)
    const codec = codecOf(api.name, 'response', version)
    const body = codec.read(reader)
    assert.equal(reader.remaining, 0, `${label}: bytes left over`)

    const writer = new Writer()
    const start = beginResponse(writer, api, version, correlationId)
    codec.write(writer, body)
    endFrame(writer, start, 0)
    assert.equal(frameBody(writer), response, label)
  }
})
