/** Where a listener binds and what it tells its clients. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestContext } from '../../broker/context.ts'
import { advertisedEndpoint, bindAddresses } from '../../broker/listeners.ts'

function told(
  localAddress: string,
  advertised: { host: string; port: number } | null = null,
): { host: string; port: number } {
  const listener = { name: 'PLAINTEXT', host: '0.0.0.0', port: 9092, advertised }
  return advertisedEndpoint({ listener, localAddress, localPort: 1234 } as RequestContext)
}

test('a client is told the address that it connected to', () => {
  assert.deepEqual(told('10.1.2.3'), { host: '10.1.2.3', port: 1234 })
  assert.deepEqual(told('fd00::1'), { host: 'fd00::1', port: 1234 })
})

test('an IPv4 address in IPv6 form is told in IPv4 form, the IPv6 loopback by name', () => {
  assert.deepEqual(told('::ffff:10.1.2.3'), { host: '10.1.2.3', port: 1234 })
  assert.deepEqual(told('::1'), { host: 'localhost', port: 1234 })
})

test('advertised.listeners is told whatever the client connected to', () => {
  const advertised = { host: 'broker.example', port: 19092 }
  assert.deepEqual(told('10.1.2.3', advertised), advertised)
})

const bound = (host: string) =>
  bindAddresses({ name: 'P', host, port: 0, advertised: null } as never)

test('localhost binds both loopback addresses, of which the IPv6 one may be missing', () => {
  assert.deepEqual(bound('localhost'), [
    { host: '127.0.0.1', required: true },
    { host: '::1', required: false },
  ])
})

test('no host is every interface; any other host is bound as it is', () => {
  assert.deepEqual(bound(''), [{ host: '0.0.0.0', required: true }])
  assert.deepEqual(bound('0.0.0.0'), [{ host: '0.0.0.0', required: true }])
  assert.deepEqual(bound('10.1.2.3'), [{ host: '10.1.2.3', required: true }])
})
