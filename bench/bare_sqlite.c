/* The reference: what SQLite alone does, without anything of Semper.
 *
 *   bare_sqlite commits FILE SECONDS        one-row transactions, WAL, synchronous=FULL;
 *                                           prints the median and 99th percentile in microseconds
 *   bare_sqlite rows FILE SECONDS ROWS      inserts of 100-byte rows, ROWS per transaction;
 *                                           prints rows per second
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAXIMUM_SAMPLES = 2000000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(int code, sqlite3* db) {
  if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
  fprintf(stderr, "bare_sqlite: %s\n", sqlite3_errmsg(db));
  exit(1);
}

static int by_value(const void* a, const void* b) {
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return x < y ? -1 : x > y;
}

static sqlite3* open_database(const char* file) {
  sqlite3* db = NULL;
  must(sqlite3_open(file, &db), db);
  must(sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL), db);
  must(sqlite3_exec(db, "PRAGMA synchronous=FULL", NULL, NULL, NULL), db);
  must(sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v BLOB)", NULL, NULL,
                    NULL),
       db);
  return db;
}

static void step(sqlite3* db, sqlite3_stmt* statement) {
  must(sqlite3_step(statement), db);
  must(sqlite3_reset(statement), db);
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: bare_sqlite commits|rows FILE SECONDS [ROWS]\n");
    return 2;
  }
  const int rows = argc > 4 ? atoi(argv[4]) : 1;
  const double seconds = atof(argv[3]);
  sqlite3* db = open_database(argv[2]);
  sqlite3_stmt *begin, *commit, *insert, *replace;
  must(sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &begin, NULL), db);
  must(sqlite3_prepare_v2(db, "COMMIT", -1, &commit, NULL), db);
  must(sqlite3_prepare_v2(db, "INSERT INTO t(v) VALUES(?)", -1, &insert, NULL), db);
  must(sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO t(k, v) VALUES(?, ?)", -1, &replace, NULL),
       db);
  char value[100];
  memset(value, 'x', sizeof value);
  double* samples = malloc(MAXIMUM_SAMPLES * sizeof *samples);
  if (samples == NULL) return 1;
  long count = 0;
  const int single = strcmp(argv[1], "commits") == 0;
  const double start = now();
  double last = start;
  while (last - start < seconds && count < MAXIMUM_SAMPLES) {
    step(db, begin);
    if (single) {
      must(sqlite3_bind_int(replace, 1, 1), db);
      must(sqlite3_bind_blob(replace, 2, value, sizeof value, SQLITE_STATIC), db);
      step(db, replace);
    } else {
      for (int i = 0; i < rows; ++i) {
        must(sqlite3_bind_blob(insert, 1, value, sizeof value, SQLITE_STATIC), db);
        step(db, insert);
      }
    }
    step(db, commit);
    const double end = now();
    samples[count++] = end - last;
    last = end;
  }
  if (single) {
    qsort(samples, (size_t)count, sizeof *samples, by_value);
    printf("%.2f %.2f\n", samples[count / 2] * 1e6, samples[count * 99 / 100] * 1e6);
  } else {
    printf("%.0f\n", (double)count * rows / (last - start));
  }
  return 0;
}
