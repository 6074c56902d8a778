import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError, type ConfigSources, loadConfig } from '../../../broker/config.ts'

function fromFile(text: string, more: Omit<ConfigSources, 'file'> = {}) {
  return loadConfig({ file: { name: 'server.properties', text }, ...more })
}

function problems(text: string, more: Omit<ConfigSources, 'file'> = {}): readonly string[] {
  let refused: unknown
  try {
    fromFile(text, more)
  } catch (error) {
    refused = error
  }
  assert.ok(refused instanceof ConfigError, `accepted: ${text}`)
  return refused.problems
}

describe('listeners', () => {
  const names = (text: string) =>
    fromFile(text).listeners.map(({ name, host, port }) => `${name} ${host} ${port}`)

  it('may be several, each with a name of its own', () => {
    const map = 'listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT'
    assert.deepEqual(names(`${map}\nlisteners=in://:0, OUT://[::1]:9094`), [
      'IN  0',
      'OUT ::1 9094',
    ])
    assert.match(problems('listeners=IN://:1')[0]!, /IN has no protocol in listener/)
    assert.match(problems('listeners=PLAINTEXT://:1,PLAINTEXT://:2')[0]!, /PLAINTEXT occurs twice/)
    assert.match(problems(`${map}\nlisteners=IN://:1,OUT://:1`)[0]!, /:1 occurs twice/)
    assert.deepEqual(names(`${map}\nlisteners=IN://:0,OUT://:0`), ['IN  0', 'OUT  0'])
  })

  it('have a port from 0 to 65535', () => {
    assert.deepEqual(names('listeners=PLAINTEXT://h:65535'), ['PLAINTEXT h 65535'])
    for (const text of [
      'PLAINTEXT://h:65536',
      'PLAINTEXT://h',
      'h:9092',
      'PLAINTEXT://h:-1',
      '://h:1',
    ]) {
      assert.match(problems(`listeners=${text}`)[0]!, /is not name:\/\/host:port/)
    }
    assert.match(problems('listeners=')[0]!, /there is none/)
  })

  it('are advertised under an address that clients can use', () => {
    const [listener] = fromFile('advertised.listeners=PLAINTEXT://example.org:19092').listeners
    assert.deepEqual(listener?.advertised, { host: 'example.org', port: 19092 })
    for (const host of ['', '0.0.0.0', '[::]']) {
      assert.match(problems(`advertised.listeners=PLAINTEXT://${host}:1`)[0]!, /needs a host/)
    }
    assert.match(problems('advertised.listeners=OTHER://h:1')[0]!, /OTHER is not among/)
  })

  it('take their port from --port where there is one of them', () => {
    const text = 'listeners=PLAINTEXT://0.0.0.0:9092,CONTROLLER://:9093'
    const [listener] = fromFile(text, { flags: { port: 7 } }).listeners
    assert.deepEqual([listener?.host, listener?.port], ['0.0.0.0', 7])
    const two = 'listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\nlisteners=A://:1,B://:2'
    assert.match(problems(two, { flags: { port: 7 } })[0]!, /not exactly one listener/)
    assert.match(problems('', { flags: { port: 65536 } })[0]!, /0 to 65535/)
    assert.match(problems('', { flags: { port: Number.NaN } })[0]!, /0 to 65535/)
  })

  it('must be PLAINTEXT', () => {
    const map = 'listener.security.protocol.map=PLAINTEXT:SASL_SSL'
    assert.match(problems(map)[0]!, /PLAINTEXT is SASL_SSL; only PLAINTEXT is served so far/)
    assert.match(problems('listener.security.protocol.map=PLAINTEXT')[0]!, /is not name:protocol/)
  })
})
