// A victim that must be caught: SQLite that is told not to flush (synchronous=OFF) and acknowledges
// what it has committed. With flushes it is a well-known store that must not be.
#include <sqlite3.h>

#include <string>

#include "notes.h"
#include "roles.h"

namespace semper::testing {
namespace {

std::string notes_path(const RoleOptions& options) {
  return options.notes + "/rows";
}

class Database {
 public:
  explicit Database(const RoleOptions& options) {
    const std::string path = options.disk + "/plain.db";
    ::sqlite3_open(path.c_str(), &database_);
    run("PRAGMA busy_timeout=10000");
    run("PRAGMA journal_mode=WAL");
    run(options.flushes ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
    run("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT)");
  }
  ~Database() { ::sqlite3_close(database_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  bool run(const std::string& sql) {
    return ::sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  // The first column of the first row; "error" and why.
  std::string ask(const std::string& sql) {
    std::string answer = "nothing";
    const auto take = [](void* to, int, char** columns, char**) {
      *static_cast<std::string*>(to) = columns[0] == nullptr ? "0" : columns[0];
      return 1;
    };
    const int code = ::sqlite3_exec(database_, sql.c_str(), take, &answer, nullptr);
    if (code == SQLITE_OK || code == SQLITE_ABORT) return answer;
    return std::string("error: ") + ::sqlite3_errmsg(database_);
  }

 private:
  sqlite3* database_ = nullptr;
};

}  // namespace

int run_plain_sqlite(const RoleOptions& options) {
  Notes notes(notes_path(options));
  Database database(options);
  for (auto number = highest(read_notes(notes_path(options)), "IP") + 1;; ++number) {
    notes.write('I', {number});
    if (!database.run("INSERT INTO rows VALUES (" + std::to_string(number) +
                      ", hex(randomblob(100)))")) {
      return report_error(options, database.ask("SELECT 1"));
    }
    notes.write('P', {number});
  }
}

int run_plain_sqlite_judge(const RoleOptions& options) {
  Database database(options);
  const std::string intact = database.ask("PRAGMA integrity_check");
  if (intact != "ok") say_wrong("the database is damaged: " + intact);
  std::size_t acknowledged = 0;
  for (const auto& note : read_notes(notes_path(options))) {
    if (note.what == 'P') ++acknowledged;
  }
  for (const auto& note : read_notes(notes_path(options))) {
    if (note.what != 'P') continue;
    const auto number = std::to_string(note.numbers.at(0));
    const std::string found = database.ask("SELECT count(*) FROM rows WHERE number = " + number);
    if (found == "1") continue;
    say_wrong("row " + number + " was acknowledged and is not there: " + found);
    break;  // one is enough
  }
  return end_of_judgement(acknowledged);
}

}  // namespace semper::testing
