/**
 * The measurements against raw limits run, in small: what they print is not tested here, but that requests, answers and
 * sums agree is; the programs say so themselves and end with an error otherwise.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'

const home = mkdtempSync(join(tmpdir(), 'ottla-lean-test-'))
after(() => rmSync(home, { recursive: true, force: true }))

function bench(program: string, ...args: string[]) {
  const json = join(home, `${program}.json`)
  const path = join('dist', 'bench', `${program}.js`)
  const { status, stderr } = spawnSync(process.execPath, [path, ...args, '--json', json], {
    encoding: 'utf8',
    env: { ...process.env, TMPDIR: home },
  })
  assert.equal(status, 0, stderr)
  return JSON.parse(readFileSync(json, 'utf8'))
}

test('the bar and the broker answer the same requests', () => {
  const { outcomes } = bench('lean', '--size', '0.002', '--rounds', '1', '4 × 5', 'fetch 64')
  assert.equal(outcomes.length, 2)
  for (const { bar, ottla } of outcomes) {
    assert(bar[0].perSecond > 0 && ottla[0].perSecond > 0)
  }
})

test('what is swept is drawn', () => {
  const small = ['--size', '0.005', '--rounds', '1', '--svg', home]
  const { results } = bench('scaling', ...small, 'connections', 'log')
  assert.deepEqual(
    results.map(({ name }: { name: string }) => name),
    ['connections', 'log'],
  )
  assert(existsSync(join(home, 'scaling-connections.svg')))
  assert.match(readFileSync(join(home, 'scaling-log.svg'), 'utf8'), /^<svg xmlns=.*<\/svg>\n$/)
})

test('producers are measured alone and beside a reader', () => {
  const small = ['--gb', '0.02', '--seconds', '0.5', '--rate', '200', '--rounds', '1']
  const { alone, beside } = bench('cold-reader', ...small)
  assert.equal(alone[0].latency.count, 100)
  assert.equal(beside[0].latency.count, 100)
  assert.notEqual(beside[0].reader, null)
})
