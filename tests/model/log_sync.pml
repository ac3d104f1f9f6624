/* How the processes of a sqlite: store commit, flush and find out: docs/model.md says which function is
 * which step, what is left out, and what was found.
 *
 *   spin -a log_sync.pml && cc -O2 -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *
 * Bugs are planted by -D NAME: see tests/model/run, which demands that each is caught.
 */

#ifndef COMMITTERS
#define COMMITTERS 2
#endif
#ifndef COMMITS
#define COMMITS 2  /* of each committer */
#endif
#ifndef FAILURES
#define FAILURES 1 /* of flushes and of the kernel's own write-back */
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define READER COMMITTERS     /* a process that only reads */
#define ALL (COMMITTERS + 1)  /* processes, and the number that stands for nobody */
#define NOBODY ALL
#define FRAMES (COMMITTERS * COMMITS)
#define VERSIONS (FRAMES + 1)
#define RECOVERIES (FAILURES + KILLS + COMMITTERS + 3)

/* The sidecar (sidecar.h): shared memory, each access a step of its own. */
byte turn = NOBODY;
byte flush = NOBODY;
byte version;
byte durable;
bool flush_failed;
byte beside; /* flushes under way without the flush */
byte recoveries;
byte recovered[RECOVERIES + 1];

/* The log: a frame for each commit. What its index names; what the kernel has in its memory, and
 * whether that is still to be written; what the disk has. A power cut leaves the frames that the disk
 * has up to the first that it has not (the chain of checksums). */
byte frames;
byte holds[FRAMES];
bool cached[FRAMES];
bool dirty[FRAMES];
bool on_disk[FRAMES];
bool in_database[VERSIONS]; /* copied out of a log by a recovery, and flushed */

/* Errors that the kernel reports (errseq_t, Linux 4.17 and later): once to each descriptor that was open
 * when they came, and to the next that is opened if nobody has heard of it yet. */
byte errors;
bool is_heard = true; /* of the last one */
byte heard[ALL];
bool has_file[ALL];
byte opened_after[ALL];
byte failures_left = FAILURES;

byte kills_left = KILLS;
bool dead[ALL];
bool is_open[ALL];

/* What callers were told of the commit of each version. */
bool acknowledged[VERSIONS];
bool shown[VERSIONS];
bool refused[VERSIONS]; /* "nothing was applied" */

/* SIGKILL, where it makes a difference: one process, at any of these places. */
#define MAY_BE_KILLED                                          \
  atomic {                                                     \
    if                                                         \
    :: kills_left > 0 && me == 0 -> kills_left--; goto killed  \
    :: true                                                    \
    fi                                                         \
  }

#define IS_GONE(who) (who == NOBODY || dead[who])

inline raise_to(word, to) {
  d_step {
    if
    :: word < to -> word = to
    :: else
    fi
  }
}

/* fdatasync's end: what was in the log at its beginning is on the disk, or it failed: then nothing
 * is dirty any more, and each frame is on the disk or not. */
inline end_of_sync(me, from_begin, good) {
  atomic {
    p = 0;
    good = true;
    if
    :: failures_left > 0 ->
      failures_left--;
      errors++;
      is_heard = false;
      do
      :: p < frames ->
        if
        :: dirty[p] ->
          dirty[p] = false;
          if
          :: on_disk[p] = true
          :: skip
          fi
        :: else
        fi;
        p++
      :: else -> break
      od
    :: do
       :: p < frames && p < from_begin ->
         if
         :: dirty[p] -> dirty[p] = false; on_disk[p] = true
         :: else
         fi;
         p++
       :: else -> break
       od
    fi;
    good = (heard[me] == errors);
    if
    :: !good -> is_heard = true
    :: else
    fi;
    heard[me] = errors;
    p = 0
  }
}

#define OPENED_NOW (is_heard -> errors : errors - 1)

inline open_file(me) {
  atomic {
    has_file[me] = true;
    heard[me] = OPENED_NOW;
    opened_after[me] = recoveries
  }
}

/* LogSync::look: what is durable first, then the recoveries. */
inline look() {
  covered = (durable >= mine);
  atomic {
    r = recoveries;
    if
    :: r == mark -> state = (covered -> DURABLE : WRITTEN)
    :: else ->
      state = DURABLE;
      p = mark + 1;
      do
      :: p <= r ->
        if
        :: mine > recovered[p] -> state = LOST
        :: else
        fi;
        p++
      :: else -> break
      od
    fi;
    p = 0;
    r = 0;
    covered = false
  }
}

/* LogSync::prepare. `after_death`: the flush was taken from somebody who died with it. */
inline prepare(me) {
  if
  :: has_file[me] && opened_after[me] == recoveries
  :: else ->
    if
#ifndef FLUSH_OF_THE_DEAD_BELIEVED
    :: after_death -> flush_failed = true
#endif
    :: else
    fi;
    open_file(me);
#ifndef FLUSH_BESIDE_UNSEEN
    if
    :: beside > 0 -> flush_failed = true
    :: else
    fi
#endif
  fi
}

/* LogSync::sync. */
inline sync(me) {
#ifdef COVERS_WHAT_CAME_MEANWHILE
  begun = frames;
  end_of_sync(me, begun, good);
  reached = version;
#else
  atomic {
    reached = (version > mine -> version : mine);
    begun = frames
  }
  MAY_BE_KILLED;
  end_of_sync(me, begun, good);
#endif
  MAY_BE_KILLED;
  if
  :: good -> raise_to(durable, reached)
  :: else ->
#ifdef FAILED_FLUSH_TRIED_AGAIN
    end_of_sync(me, begun, good);
    raise_to(durable, reached)
#else
    has_file[me] = false;
#ifndef FAILED_FLUSH_UNTOLD
    flush_failed = true
#endif
#endif
  fi;
  reached = 0;
  begun = 0;
  good = false
}

/* LogSync::flush: ends with a state, or with WRITTEN where a flush has failed. */
inline flush_log(me) {
  do
  :: look();
    if
    :: state != WRITTEN || flush_failed -> break
    :: else
    fi;
    /* Its owner may be stopped: after kFlushPatience one flushes beside it. */
    atomic {
      if
      :: IS_GONE(flush) -> after_death = (flush != NOBODY); flush = me; took = true
      :: else -> took = false
      fi
    }
    look();
    if
    :: state == WRITTEN && !flush_failed ->
      if
      :: !took -> beside++
      :: else
      fi;
      prepare(me);
      if
      :: !flush_failed -> sync(me)
      :: else
      fi;
      if
      :: !took -> beside--
      :: else
      fi
    :: else
    fi;
    atomic {
      if
      :: took -> flush = NOBODY; took = false
      :: else
      fi;
      after_death = false
    }
  od
}

/* Whether all that the index names can be read: from the kernel's memory, else from the disk
 * (log_chain.h). */
inline check_log(good) {
  atomic {
    p = 0;
    good = true;
    do
    :: p < frames -> good = good && (cached[p] || on_disk[p]); p++
    :: else -> break
    od;
#ifdef LOST_FRAMES_BELIEVED
    good = true;
#endif
    p = 0
  }
}

/* renew_log(): the log over itself, through a descriptor of its own, and then it must be whole still. */
inline rewrite_log(good) {
  atomic {
    fresh = heard[me];
    heard[me] = OPENED_NOW
  }
  atomic {
    p = 0;
    do
    :: p < frames ->
      /* What cannot be read is not written either. */
      if
      :: cached[p] || on_disk[p] -> cached[p] = true; dirty[p] = true
      :: else
      fi;
      p++
    :: else -> break
    od;
    p = 0
  }
  end_of_sync(me, frames, good);
  heard[me] = fresh;
  fresh = 0;
#ifndef NOT_CHECKED_AFTER_THE_REWRITE
  if
  :: good -> check_log(good)
  :: else
  fi
#endif
}

/* The version that the store shows: of the last frame, or of the database. */
inline shown_by_store(to) {
  d_step {
    to = 0;
    if
    :: frames > 0 -> to = holds[frames - 1]
    :: else ->
      p = 1;
      do
      :: p < VERSIONS ->
        if
        :: in_database[p] -> to = p
        :: else
        fi;
        p++
      :: else -> break
      od;
      p = 0
    fi
  }
}

/* recover_store(), alone with the files: SQLite keeps the log up to the first frame that it cannot
 * read; that is copied into the database, and the log begins anew. All of it is flushed. */
inline copy_and_begin_anew(good) {
    if
    :: failures_left > 0 -> failures_left--; good = false
    :: good = true;
      p = 0;
      do
      :: p < frames && (cached[p] || on_disk[p]) -> in_database[holds[p]] = true; p++
      :: else -> break
      od;
      p = 0;
      do
      :: p < frames ->
        holds[p] = 0;
        cached[p] = false;
        dirty[p] = false;
        on_disk[p] = false;
        p++
      :: else -> break
      od;
      p = 0;
      frames = 0
    fi
}

/* Committer::recover, with the turn. Not good: this handle is of no use any more. */
inline recover(me) {
  check_log(good);
  if
  :: good ->
#ifdef FLUSHED_ANEW_BUT_NOT_WRITTEN
    atomic { fresh = heard[me]; heard[me] = OPENED_NOW }
    end_of_sync(me, frames, good);
    heard[me] = fresh;
    fresh = 0
#else
    rewrite_log(good)
#endif
  :: else
  fi;
  if
  :: !good ->
    /* open_again(): its other connections are closed; other processes' are not. SQLite's locks keep
     * others out meanwhile. */
    atomic {
      p = 0;
      alone = true;
      do
      :: p < ALL -> alone = alone && (p == me || !is_open[p]); p++
      :: else -> break
      od;
      p = 0;
      if
      :: alone -> copy_and_begin_anew(good)
      :: else -> good = false
      fi;
      alone = false
    }
  :: else
  fi;
  if
  :: good -> shown_by_store(found); recovered_log(me)
  :: else
  fi
}

/* LogSync::recovered: a new descriptor is flushed, then it counts, then it is durable, then the
 * failure is over. */
inline recovered_log(me) {
  MAY_BE_KILLED;
  open_file(me);
  end_of_sync(me, frames, good);
  if
  :: good ->
    recovered[recoveries + 1] = found;
    MAY_BE_KILLED;
    atomic { recoveries++; opened_after[me] = recoveries }
    raise_to(durable, found);
    flush_failed = false
  :: else -> has_file[me] = false; flush_failed = true
  fi
}

#define LOCALS                                             \
  byte mine, mark, r, p, reached, begun, found, fresh;     \
  bool covered, good, took, after_death, alone;            \
  mtype state = WRITTEN

mtype = { WRITTEN, DURABLE, LOST };

/* LogSync::open: with the flush, so that nobody fails meanwhile unheard; or beside an owner that may be
 * stopped, after kOpenPatience. */
inline open_log(me) {
  atomic {
    if
    :: IS_GONE(flush) -> after_death = (flush != NOBODY); flush = me; took = true
    :: else -> took = false; beside++
    fi;
    is_open[me] = true
  }
#ifdef OPENED_BESIDE_UNSAID
  atomic {
    if
    :: !took -> beside--; took = false
    :: else
    fi
  }
#endif
  prepare(me);
  atomic {
    if
    :: took -> flush = NOBODY
    :: else ->
#ifndef OPENED_BESIDE_UNSAID
      beside--
#else
      skip
#endif
    fi;
    took = false;
    after_death = false
  }
}

inline take_turn(me) {
#ifdef TURN_OF_THE_DEAD_KEPT
  atomic { turn == NOBODY -> turn = me }
#else
  atomic { IS_GONE(turn) -> turn = me }
#endif
}

proctype Committer(byte me) {
  LOCALS;
  byte done;
  open_log(me);
    do
    :: done < COMMITS ->
      done++;
      take_turn(me);
      /* Committer::settle_rest, before anything is built on the log. */
      if
      :: flush_failed ->
        recover(me);
        if
        :: !good -> goto leave
        :: else
        fi
      :: else
      fi;
      /* Committer::begin: one that died after its COMMIT has told nobody. */
      shown_by_store(found);
      raise_to(version, found);
      mine = version + 1;
      /* COMMIT: in the log, and for all to see. */
      d_step {
        holds[frames] = mine;
        cached[frames] = true;
        dirty[frames] = true;
        frames++
      }
      MAY_BE_KILLED;
      /* LogSync::written. */
      raise_to(version, mine);
      mark = recoveries;
#ifdef ACKNOWLEDGED_BEFORE_THE_FLUSH
      acknowledged[mine] = true;
#endif
      turn = NOBODY;
      flush_log(me);
      if
      :: state == WRITTEN ->
        take_turn(me);
        if
        :: flush_failed -> recover(me)
        :: else -> good = true
        fi;
        look();
        turn = NOBODY
      :: else -> good = true
      fi;
      atomic {
        if
        :: state == DURABLE -> acknowledged[mine] = true
        :: state == LOST -> refused[mine] = true
        :: else /* outcome_unknown */
        fi;
        mine = 0;
        mark = 0;
        found = 0;
        state = WRITTEN
      }
      if
      :: !good -> goto leave
      :: else
      fi
    :: else -> break
    od;
leave:
    atomic {
      if
      :: turn == me -> turn = NOBODY
      :: else
      fi;
      is_open[me] = false
    }
    goto gone;
killed:
    atomic {
      dead[me] = true;
      is_open[me] = false
    }
gone:
    skip
}

/* A snapshot of what others have committed and not flushed yet (FlushQueue::wait). */
proctype Reader(byte me) {
  LOCALS;
  open_log(me);
  shown_by_store(mine);
  mark = recoveries; /* no recovery finds less while somebody reads */
#ifdef SHOWN_BEFORE_DURABLE
  shown[mine] = true;
#endif
  if
  :: mine > 0 ->
    flush_log(me);
    if
    :: state == DURABLE -> shown[mine] = true
    :: else /* io */
    fi
  :: else
  fi;
killed:
  is_open[me] = false
}

/* What the kernel does by itself. */
proctype World() {
  byte p;
end:
  do
  :: atomic {
      p < frames ->
      do
      :: p + 1 < frames -> p++
      :: break
      od;
      if
      :: dirty[p] -> dirty[p] = false; on_disk[p] = true
      :: dirty[p] && failures_left > 0 -> failures_left--; errors++; is_heard = false; dirty[p] = false
      :: cached[p] && !dirty[p] && !on_disk[p] -> cached[p] = false
      :: else
      fi;
      p = 0
    }
  od
}

/* The power goes, at any moment. */
proctype PowerCut() {
  byte v, p;
  bool is_there, is_named;
end:
  atomic {
    frames > 0 || version > 0;
    v = 1;
    do
    :: v < VERSIONS ->
      is_there = in_database[v];
      is_named = in_database[v];
      p = 0;
      do
      :: p < frames && on_disk[p] -> is_there = is_there || holds[p] == v; p++
      :: else -> break
      od;
      p = 0;
      do
      :: p < frames -> is_named = is_named || holds[p] == v; p++
      :: else -> break
      od;
      assert(!acknowledged[v] || is_there); /* what was acknowledged is not lost */
      assert(!shown[v] || is_there);        /* nor what somebody has seen */
      assert(!refused[v] || !is_named);     /* what was said not to be applied is not */
      v++
    :: else -> break
    od
  }
}

init {
  byte i;
  atomic {
    do
    :: i < COMMITTERS -> run Committer(i); i++
    :: else -> break
    od;
#ifdef WITH_READER
    run Reader(READER);
#endif
    run World();
    run PowerCut()
  }
}
