/** Microseconds of the clock that never goes back and that all processes of a machine share (on Linux CLOCK_MONOTONIC). */
const offsetUs = Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000

export function monotonicUs(): number {
  return offsetUs + performance.now() * 1000
}
