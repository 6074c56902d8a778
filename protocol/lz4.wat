;; Unpacks one LZ4 block inside one memory.
;;
;;   unpack(p, end, at, atEnd): the packed block is [p, end), its bytes go to [at, atEnd); answers where they ended, or -1
;;   for what is no LZ4 block or gives more. The 16 bytes behind `end` must exist.
;;
;; A block is sequences of: token | [more literal length] | literals | distance 2 (little-endian) | [more match length].
;; The token's high half is the number of literals, its low half the length of the match less 4; 15 means that bytes to be
;; added follow, until one is not 255. The last sequence ends behind its literals. A match repeats what was unpacked
;; `distance` bytes ago, and may overlap what it writes. Short copies are done eight bytes at a time and may write more
;; than asked, never beyond atEnd: the next ones write over it.
(module
  (memory (export "memory") 33)
  (func (export "unpack")
    (param $p i32) (param $end i32) (param $at i32) (param $atEnd i32) (result i32)
    (local $start i32) (local $token i32) (local $n i32) (local $more i32) (local $from i32) (local $stop i32)
    (local.set $start (local.get $at))
    (block $bad
      (loop $sequence
        (br_if $bad (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $token (i32.load8_u (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        ;; literals
        (local.set $n (i32.shr_u (local.get $token) (i32.const 4)))
        (if (i32.eq (local.get $n) (i32.const 15))
          (then
            (loop $length
              (br_if $bad (i32.ge_u (local.get $p) (local.get $end)))
              (local.set $more (i32.load8_u (local.get $p)))
              (local.set $p (i32.add (local.get $p) (i32.const 1)))
              (local.set $n (i32.add (local.get $n) (local.get $more)))
              (br_if $length (i32.eq (local.get $more) (i32.const 255))))))
        (br_if $bad (i32.gt_u (local.get $n) (i32.sub (local.get $end) (local.get $p))))
        (br_if $bad (i32.gt_u (local.get $n) (i32.sub (local.get $atEnd) (local.get $at))))
        (if (i32.and
              (i32.le_u (local.get $n) (i32.const 16))
              (i32.ge_u (i32.sub (local.get $atEnd) (local.get $at)) (i32.const 16)))
          (then
            (i64.store (local.get $at) (i64.load (local.get $p)))
            (i64.store offset=8 (local.get $at) (i64.load offset=8 (local.get $p))))
          (else
            (memory.copy (local.get $at) (local.get $p) (local.get $n))))
        (local.set $at (i32.add (local.get $at) (local.get $n)))
        (local.set $p (i32.add (local.get $p) (local.get $n)))
        (if (i32.eq (local.get $p) (local.get $end)) (then (return (local.get $at))))
        ;; match
        (br_if $bad (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 2)))
        (local.set $from (i32.sub (local.get $at) (i32.load16_u (local.get $p))))
        (local.set $p (i32.add (local.get $p) (i32.const 2)))
        (br_if $bad (i32.ge_s (local.get $from) (local.get $at)))
        (br_if $bad (i32.lt_s (local.get $from) (local.get $start)))
        (local.set $n (i32.and (local.get $token) (i32.const 15)))
        (if (i32.eq (local.get $n) (i32.const 15))
          (then
            (loop $length
              (br_if $bad (i32.ge_u (local.get $p) (local.get $end)))
              (local.set $more (i32.load8_u (local.get $p)))
              (local.set $p (i32.add (local.get $p) (i32.const 1)))
              (local.set $n (i32.add (local.get $n) (local.get $more)))
              (br_if $length (i32.eq (local.get $more) (i32.const 255))))))
        (local.set $n (i32.add (local.get $n) (i32.const 4)))
        (br_if $bad (i32.gt_u (local.get $n) (i32.sub (local.get $atEnd) (local.get $at))))
        (local.set $stop (i32.add (local.get $at) (local.get $n)))
        (if (i32.and
              (i32.ge_u (i32.sub (local.get $at) (local.get $from)) (i32.const 8))
              (i32.ge_u (i32.sub (local.get $atEnd) (local.get $stop)) (i32.const 8)))
          (then
            (loop $eight
              (i64.store (local.get $at) (i64.load (local.get $from)))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (local.set $from (i32.add (local.get $from) (i32.const 8)))
              (br_if $eight (i32.lt_u (local.get $at) (local.get $stop)))))
          (else
            (loop $one
              (i32.store8 (local.get $at) (i32.load8_u (local.get $from)))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (local.set $from (i32.add (local.get $from) (i32.const 1)))
              (br_if $one (i32.lt_u (local.get $at) (local.get $stop))))))
        (local.set $at (local.get $stop))
        (br $sequence)))
    (i32.const -1)))
