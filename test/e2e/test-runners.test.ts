/** The examples of a broker inside a test run in Vitest and in Jest; skipped where those cannot be installed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'

const folders: string[] = []
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A project with this checkout and one test runner in it; null where the runner is not to be had. */
function project(runner: string, version: string): string | null {
  const folder = mkdtempSync(join(tmpdir(), `ottla-${runner}-`))
  folders.push(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  const args = ['install', '--no-audit', '--no-fund', '--prefer-offline', `${runner}@${version}`]
  const { status } = spawnSync('npm', args, { cwd: folder, timeout: 240_000 })
  if (status !== 0) return null
  symlinkSync(resolve('.'), join(folder, 'node_modules', 'ottla'))
  cpSync(`examples/test/${runner}.test.mjs`, join(folder, `${runner}.test.mjs`))
  return folder
}

const RUNNERS = [
  { runner: 'vitest', version: '3', args: ['run'], said: /Tests +2 passed/ },
  {
    runner: 'jest',
    version: '30',
    args: ['--testMatch', '**/jest.test.mjs'],
    said: /Tests: +2 passed/,
  },
] as const

for (const { runner, version, args, said } of RUNNERS) {
  test(`examples/test/${runner}.test.mjs`, context => {
    const folder = project(runner, version)
    if (folder === null) return context.skip(`npm cannot install ${runner} here`)
    const env = { ...process.env, NODE_OPTIONS: '--experimental-vm-modules', NO_COLOR: '1' }
    const command = join(folder, 'node_modules', '.bin', runner)
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: folder,
      encoding: 'utf8',
      env: runner === 'jest' ? env : { ...process.env, NO_COLOR: '1' },
      timeout: 120_000,
    })
    assert.equal(status, 0, stdout + stderr)
    assert.match(stdout + stderr, said)
  })
}
