/** The options of the client: addresses, defaults, and what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, parseAddress, resolveClientConfig } from '../../client/config.ts'
import { OptionError } from '../../client/errors.ts'

test('addresses are read with and without a port, and IPv6 in brackets', () => {
  for (const [text, host, port] of [
    ['a', 'a', 9092],
    ['a:1', 'a', 1],
    ['a.b-c:65535', 'a.b-c', 65_535],
    ['[::1]', '::1', 9092],
    ['[fe80::1%eth0]:19', 'fe80::1%eth0', 19],
  ] as const) {
    assert.deepEqual(parseAddress(text), { host, port })
  }
  for (const text of ['', ':1', 'a:', 'a:0', 'a:65536', 'a:b', '::1', 'a b', 'http://a', 'a:1/']) {
    assert.equal(parseAddress(text), null, text)
  }
})

test('an address reads back as it is written', () => {
  for (const text of ['a:1', '[::1]:9092']) assert.equal(formatAddress(parseAddress(text)!), text)
})

test('bootstrap is a list, or text with commas; the rest has defaults', () => {
  const expected = [
    { host: 'a', port: 9092 },
    { host: 'b', port: 2 },
  ]
  for (const bootstrap of ['a, b:2,', ['a', 'b:2']]) {
    const config = resolveClientConfig({ bootstrap })
    assert.deepEqual(config.bootstrap, expected)
    assert.equal(config.clientId, 'ottla')
    assert.equal(config.apiTimeoutMs, 60_000)
  }
})

test('all that is wrong is said at once', () => {
  const options = { bootstrap: 'a,x:y', requestTimeoutMs: 0, retryBackoffMs: 1.5 }
  assert.throws(
    () => resolveClientConfig(options),
    (error: unknown) => {
      assert(error instanceof OptionError)
      assert.match(
        error.message,
        /'x:y' is not host:port; requestTimeoutMs is 0.*retryBackoffMs is 1\.5/,
      )
      return true
    },
  )
  assert.throws(() => resolveClientConfig({ bootstrap: ' ,' }), /bootstrap is empty/)
})
