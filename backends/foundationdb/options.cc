#include "options.h"

#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "fdb_c_api.h"

namespace semper::foundationdb {
namespace {

constexpr const char* kDefaultClusterFile = "/etc/foundationdb/fdb.cluster";
// Of a cluster file, for a message.
constexpr std::size_t kDescriptionBytesMaximum = 1000;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::optional<int>> api_version_of(const StoreUrl& url) {
  const auto text = url.parameter("api");
  if (!text) return std::nullopt;
  int number = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number < kApiVersionMinimum ||
      number > kApiVersionMaximum) {
    return fail(ErrorKind::invalid_argument, "store URL parameter api=" + to_printable(*text) +
                                                 " is not an API version from " +
                                                 std::to_string(kApiVersionMinimum) + " to " +
                                                 std::to_string(kApiVersionMaximum));
  }
  return number;
}

Result<std::string> name_parameter(const StoreUrl& url, std::string_view name,
                                   std::string otherwise) {
  const auto text = url.parameter(name);
  if (!text) return otherwise;
  const bool usable = !text->empty() && text->size() <= kNameBytesMaximum &&
                      text->find('\0') == std::string::npos && text->front() != '\xff';
  if (usable) return *text;
  return fail(ErrorKind::invalid_argument, "store URL parameter " + std::string(name) + "=" +
                                               to_printable(*text) + " is not a name of 1 to " +
                                               std::to_string(kNameBytesMaximum) +
                                               " bytes without NUL that begins below 0xff");
}

// The line of a cluster file that says where the cluster is; the others are comments.
std::string connection_string(const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.front() != '#') return line;
  }
  return "";
}

// DESCRIPTION:ID@ADDRESS,ADDRESS; the client library looks closer.
bool is_connection_string(const std::string& text) {
  const auto colon = text.find(':');
  const auto at = text.find('@');
  return colon != std::string::npos && at != std::string::npos && 0 < colon && colon + 1 < at &&
         at + 1 < text.size();
}

Status check_connection_string(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return fail(ErrorKind::permission,
                "the cluster file " + to_printable(path) + " cannot be read by this user");
  }
  if (is_connection_string(connection_string(path))) return {};
  return fail(ErrorKind::invalid_argument,
              to_printable(path) +
                  " is no cluster file (it has no line DESCRIPTION:ID@ADDRESS:PORT,...); copy it "
                  "from a machine of the FoundationDB cluster");
}

// The file that the client library takes, by its own rules, where none is named.
std::string default_cluster_file() {
  if (auto named = environment("FDB_CLUSTER_FILE"); !named.empty()) return named;
  struct stat here {};
  return ::stat("fdb.cluster", &here) == 0 ? "fdb.cluster" : kDefaultClusterFile;
}

}  // namespace

Result<FoundationDbOptions> parse_options(const StoreUrl& url) {
  SEMPER_TRY_STATUS(url.allow_only({"tenant", "api", "library", "prefix"}));
  FoundationDbOptions options;
  options.url = url.to_string();
  if (url.path.find('\0') != std::string::npos) {
    return fail(ErrorKind::invalid_argument,
                "the cluster file of an fdb: URL is a path, without NUL bytes");
  }
  options.cluster_file = url.path;
  SEMPER_TRY(options.api_version, api_version_of(url));
  SEMPER_TRY(options.tenant, name_parameter(url, "tenant", ""));
  SEMPER_TRY(options.prefix, name_parameter(url, "prefix", "semper"));
  options.library = url.parameter("library").value_or(environment("SEMPER_FDB_LIBRARY"));
  return options;
}

std::string describe_cluster(const std::string& cluster_file) {
  const std::string path = cluster_file.empty() ? default_cluster_file() : cluster_file;
  const std::string text = "cluster file " + to_printable(path);
  const auto connection = connection_string(path);
  if (!is_connection_string(connection)) return text;
  const auto coordinators = BytesView(connection).substr(connection.find('@') + 1);
  return text + " (coordinators " + to_printable(coordinators, kDescriptionBytesMaximum) + ")";
}

Status check_cluster_file(const std::string& cluster_file) {
  const std::string path = cluster_file.empty() ? default_cluster_file() : cluster_file;
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0) return check_connection_string(path);
  if (errno != ENOENT && errno != ENOTDIR) {
    return fail(error_from_errno(errno, "cannot look at the cluster file " + to_printable(path)));
  }
  return fail(ErrorKind::not_found,
              "there is no cluster file " + to_printable(path) +
                  "; copy it from a machine of the FoundationDB cluster, or install and start "
                  "foundationdb-server, which makes " +
                  kDefaultClusterFile);
}

}  // namespace semper::foundationdb
