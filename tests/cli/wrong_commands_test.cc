// The wrong command lines of wrong_commands.txt: each has its exit code and its words, and no two
// causes share a message.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <thread>

#include "hosted.h"
#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::size_t kCasesAtLeast = 100;
constexpr std::size_t kCasesAtOnce = 4;

struct Case {
  std::string name, cause, needs, before, run;
  int code = -1;
  std::vector<std::string> says;
};

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(" | ", at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 3;
  }
  return parts;
}

std::vector<Case> read_cases() {
  std::vector<Case> cases;
  for (const auto& line :
       lines_of(read_whole_file(std::string(SEMPER_SOURCES) + "/tests/cli/wrong_commands.txt"))) {
    const auto colon = line.find(": ");
    if (line.empty() || line.starts_with('#') || colon == std::string::npos) continue;
    const std::string field = line.substr(0, colon);
    const std::string value = line.substr(colon + 2);
    if (field == "case") {
      cases.emplace_back().name = value;
      cases.back().cause = value;
    } else if (field == "cause") {
      cases.back().cause = value;
    } else if (field == "needs") {
      cases.back().needs = value;
    } else if (field == "do") {
      cases.back().before = value;
    } else if (field == "run") {
      cases.back().run = value;
    } else if (field == "exit") {
      cases.back().code = std::stoi(value);
    } else if (field == "says") {
      cases.back().says = parts_of(value);
    } else {
      ADD_FAILURE() << "no such field: " << line;
    }
  }
  return cases;
}

bool nobody_can_run_the_tool() {
  struct stat status {};
  for (fs::path path = SEMPER_PROGRAM; path != path.root_path(); path = path.parent_path()) {
    if (::stat(path.c_str(), &status) != 0 || (status.st_mode & S_IXOTH) == 0) return false;
  }
  return true;
}

bool can_run(const Case& each) {
  if (each.needs.empty()) return true;
  if (each.needs == "root") return ::geteuid() == 0 && nobody_can_run_the_tool();
  return fs::exists(each.needs);
}

// A socket's address is short, a folder's path may be long.
void make_socket(const std::string& folder) {
  const int at = ::open(folder.c_str(), O_PATH | O_CLOEXEC);
  const std::string path = "/proc/self/fd/" + std::to_string(at) + "/a.socket";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  const int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << path;
  ::close(made);
  ::close(at);
}

class CliWrongCommands : public CliTest {
 protected:
  // What s.db of every case is a copy of.
  std::string make_store() {
    {
      const HostedStore host(url());
      must({"call", "Counter/x", "Add", "[1]"});
    }
    must({"store", "set", "k", "1"});
    must({"store", "set", "text", "hello", "--as", "text"});
    must({"store", "set", "decayed", "vvvvvvvv", "--as", "text"});
    return read_whole_file(path("store.db"));
  }

  Ran run_case(const Case& each, const std::string& folder) {
    ProgramToStart shell{"/bin/sh"};
    const std::string preamble =
        "cd \"$1\"; PATH=\"$2:$PATH\"; S='--store sqlite:s.db'; as_nobody() { "
        "setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"; }; wait_for() { for i in "
        "$(seq 1000); do \"$@\" >/dev/null 2>&1 && return; sleep 0.02; done; }\n";
    shell.arguments = {"-c", preamble + each.before + "\n" + each.run, "sh", folder,
                       fs::path(SEMPER_PROGRAM).parent_path()};
    shell.environment = {"SEMPER_STORE=", "SEMPER_LOG=off", "LC_ALL=C"};
    shell.input = std::string();
    return finish(ChildProcess(std::move(shell)));
  }

  // All of them, some at a time.
  std::vector<Ran> run_all(const std::vector<Case>& cases) {
    const std::string store = make_store();
    EXPECT_EQ(::chmod(folder_.c_str(), 0755), 0);
    std::vector<Ran> results(cases.size());
    std::atomic<std::size_t> next = 0;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kCasesAtOnce; ++i) {
      threads.emplace_back([&] {
        for (std::size_t at = next++; at < cases.size(); at = next++) {
          const std::string folder = path(std::to_string(at));
          fs::create_directory(folder);
          std::ofstream(folder + "/s.db", std::ios::binary) << store;
          make_socket(folder);
          results[at] = run_case(cases[at], folder);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    return results;
  }
};

// A message without what differs from one command line to the next: names, numbers, folders.
std::string essence(const Ran& ran, const Case& each, const std::string& folder) {
  std::string text = ran.err;
  const auto replace = [&text](const std::string& what, const std::string& by) {
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
      text.replace(at, what.size(), by);
    }
  };
  replace(folder, "@");
  static const std::regex word("[A-Za-z0-9_./:?=-]{3,}");
  std::vector<std::string> words(std::sregex_token_iterator(each.run.begin(), each.run.end(), word),
                                 std::sregex_token_iterator());
  std::sort(words.begin(), words.end(),
            [](const auto& a, const auto& b) { return a.size() > b.size(); });
  for (const auto& typed : words) replace(typed, "@");
  return std::regex_replace(text, std::regex("[0-9]+"), "N");
}

TEST_F(CliWrongCommands, each_has_its_exit_code_and_a_message_that_no_other_cause_shares) {
  const auto cases = read_cases();
  EXPECT_GE(cases.size(), kCasesAtLeast);
  std::vector<Case> able;
  std::copy_if(cases.begin(), cases.end(), std::back_inserter(able), can_run);
  if (able.size() < cases.size()) {
    std::printf("%zu of %zu are left out: they need root, or a file that is not here\n",
                cases.size() - able.size(), cases.size());
  }
  const auto results = run_all(able);
  std::map<std::string, std::string> cause_of;  // a message's essence -> its cause
  for (std::size_t i = 0; i < able.size(); ++i) {
    const Case& each = able[i];
    const Ran& ran = results[i];
    SCOPED_TRACE("case: " + each.name + "\nrun: " + each.run);
    EXPECT_EQ(ran.code, each.code) << ran;
    for (const auto& words : each.says) EXPECT_THAT(ran.err, HasSubstr(words));
    EXPECT_FALSE(each.says.empty());
    const auto [known, fresh] =
        cause_of.emplace(essence(ran, each, path(std::to_string(i))), each.cause);
    EXPECT_TRUE(fresh || known->second == each.cause)
        << "shares its message with the cause: " << known->second << "\n"
        << ran.err;
  }
}

}  // namespace
}  // namespace semper::testing
