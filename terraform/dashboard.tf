locals {
  tiles = [
    { title = "Runs published, per day", query = "sum(increase(${local.promql.published}[1d]))", unit = "" },
    { title = "Executions of the export, per day, by result", query = "sum by (result) (increase(${local.promql.executions}[1d]))", unit = "" },
    { title = "Duration of a run (median)", query = "histogram_quantile(0.5, sum by (le) (increase(${local.promql.seconds}_bucket[1d])))", unit = "s" },
    { title = "Rows per run, by result", query = "sum by (result) (max_over_time(${local.promql.rows}[12h]))", unit = "" },
    { title = "Coverage in total", query = "avg(avg_over_time(${local.promql.coverage}[12h]))", unit = "" },
    { title = "Coverage, the ten worst tables", query = "bottomk(10, min by (table) (min_over_time(custom_googleapis_com:commons_mirror_coverage{monitored_resource=\"global\",table!=\"total\"}[12h])))", unit = "" },
    { title = "Age of what analysts read", query = "time() - max(max_over_time(timestamp(increase(${local.promql.published}[10m]) > 0)[2d:10m]))", unit = "s" },
    { title = "Age of the mirrored backup", query = "max(max_over_time(${local.promql.backup_age}[12h]))", unit = "s" },
    { title = "Dead letters", query = "max(${local.promql.dead})", unit = "" },
  ]
}

resource "google_monitoring_dashboard" "mirror" {
  dashboard_json = jsonencode({
    displayName = "Commons Mirror"
    mosaicLayout = {
      columns = 12
      tiles = [
        for i, tile in local.tiles : {
          xPos   = 4 * (i % 3)
          yPos   = 4 * floor(i / 3)
          width  = 4
          height = 4
          widget = {
            title = tile.title
            xyChart = {
              dataSets = [{
                plotType        = "LINE"
                targetAxis      = "Y1"
                timeSeriesQuery = { prometheusQuery = tile.query, unitOverride = tile.unit }
              }]
              yAxis = { scale = "LINEAR" }
            }
          }
        }
      ]
    }
  })
}
