/** What the shells are told may come next; the scripts themselves in bash, zsh and fish, where these are installed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { cli } from './run-cli.ts'

let broker: EmbeddedBroker
let directory: string

before(async () => {
  broker = await startBroker()
  for (const name of ['orders', 'other', 'third']) {
    await cli(['topic', 'create', name, '--bootstrap', broker.bootstrap])
  }
  directory = mkdtempSync(join(tmpdir(), 'ottla-completion-'))
  // Stands in for `ottla`: answers what the scripts ask it, at once.
  const stub = `#!/bin/sh
test "$1" = complete || exit 1
case "$2" in
  'ottla topic d') printf 'delete\\tdelete topics: all\\ndescribe\\tshow\\n' ;;
esac
`
  writeFileSync(join(directory, 'ottla'), stub)
  chmodSync(join(directory, 'ottla'), 0o755)
})

after(async () => {
  rmSync(directory, { recursive: true })
  await broker.stop()
})

async function offered(line: string): Promise<string[]> {
  const { code, out, err } = await cli(['complete', line])
  assert.deepEqual([code, err], [0, ''])
  return out.split('\n').filter(text => text !== '')
}

const names = async (line: string) => (await offered(line)).map(text => text.split('\t')[0])

test('commands, subcommands and options, with what they are for', async () => {
  assert.deepEqual(await offered('ottla to'), ['topic\tcreate, look at, change and delete topics'])
  assert.deepEqual(await names('ottla topic d'), ['describe', 'delete'])
  assert.deepEqual(await names('ottla topic create t --part'), ['--partitions'])
  assert((await names('ottla ')).includes('doctor'))
  assert(!(await names('ottla ')).includes('complete'))
})

test('values of options and arguments that are one of a few', async () => {
  assert.deepEqual(await names('ottla produce t --acks '), ['all', '1', '0'])
  assert.deepEqual(await names('ottla produce t --compression z'), ['zstd'])
  assert.deepEqual(await names('ottla config describe t'), ['topic'])
  assert.deepEqual(await names('ottla completion '), ['bash', 'zsh', 'fish'])
})

test('topics that the cluster has; nothing where it does not answer', async () => {
  const where = `--bootstrap ${broker.bootstrap}`
  assert.deepEqual(await names(`ottla topic describe ${where} o`), ['orders', 'other'])
  assert.deepEqual(await names(`ottla topic delete ${where} orders t`), ['third'])
  assert.deepEqual(await names(`ottla consume ${where} ord`), ['orders'])
  assert.deepEqual(await names(`ottla config alter ${where} topic th`), ['third'])
  assert.deepEqual(await names(`ottla doctor ${where} --topic th`), ['third'])
  assert.deepEqual(await names(`ottla topic create ${where} o`), [])
  assert.deepEqual(await names('ottla topic describe --bootstrap 127.0.0.1:1 o'), [])
})

function has(shell: string): string | false {
  return spawnSync(shell, ['-c', 'exit 0']).status === 0 ? false : `${shell} is not installed`
}

async function inShell(shell: string, args: string[], rest: string): Promise<string> {
  const { out: script } = await cli(['completion', shell])
  const file = join(directory, `ottla.${shell}`)
  writeFileSync(file, script)
  const env = { ...process.env, PATH: `${directory}:${process.env['PATH']}`, HOME: directory }
  const run = spawnSync(shell, [...args, '-c', `source ${file}\n${rest}`], { env })
  assert.equal(run.stderr.toString(), '')
  return run.stdout.toString()
}

test('bash', { skip: has('bash') }, async () => {
  const line = "COMP_LINE='ottla topic d'; COMP_POINT=13; _ottla"
  const show = 'printf "%s|" "$' + '{COMPREPLY[@]}"; complete -p ottla'
  const said = await inShell('bash', ['--norc'], `${line}; ${show}`)
  assert.equal(said, 'delete|describe|complete -o default -F _ottla ottla\n')
})

test('zsh', { skip: has('zsh') }, async () => {
  const { out: script } = await cli(['completion', 'zsh'])
  const stubs = 'compdef() { print "compdef $@" }; _files() { print files }'
  const shown = '_describe() { print -l $1 $' + '{(P)2} }'
  writeFileSync(join(directory, 'zsh-test'), `${stubs}\n${shown}\n${script}`)
  const ask = (last: string) => `words=(ottla topic ${last}); CURRENT=3; _ottla`
  const rest = `source ${join(directory, 'zsh-test')}\n${ask('d')}\n${ask('x')}`
  const env = { ...process.env, PATH: `${directory}:${process.env['PATH']}` }
  const run = spawnSync('zsh', ['-f', '-c', rest], { env })
  assert.equal(run.stderr.toString(), '')
  const lines = ['compdef _ottla ottla', 'ottla', 'delete:delete topics\\: all', 'describe:show']
  assert.equal(run.stdout.toString(), `${[...lines, 'files'].join('\n')}\n`)
})

test('fish', { skip: has('fish') }, async () => {
  const said = await inShell('fish', ['--no-config'], "complete --do-complete 'ottla topic d'")
  assert.equal(said, 'delete\tdelete topics: all\ndescribe\tshow\n')
})
